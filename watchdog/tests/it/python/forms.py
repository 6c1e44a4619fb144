"""Paths choose the form of the answer."""
import sys


def handle(event, context):
    print('called', event.path)
    if event.path == '/echo':
        return event.body
    if event.path == '/request':
        return {'body': {'type': type(event.body).__name__, 'method': event.method, 'query': event.query,
                         'all': event.query.getlist('a'), 'path': event.path, 'host': bool(context.hostname),
                         'custom': event.headers['X-CUSTOM'], 'none': event.headers.get('x-none')}}
    if event.path == '/dict':
        return {'statusCode': 418, 'body': 'tea', 'headers': {'Content-Type': 'text/plain', 'Set-Cookie': ['a', 'b']}}
    if event.path == '/pairs':
        return {'body': '', 'headers': [('X-A', 'b'), ('X-A', 'c')]}
    if event.path == '/tuple':
        return 'made', 201, {'X-A': 'b'}
    if event.path == '/tuple-headers':
        return 'made', {'X-A': 'b'}
    if event.path == '/tuple-of-4':
        return 'made', 201, {}, 4
    if event.path == '/plain-dict':
        return {'a': 1}
    if event.path == '/list':
        return [1, 'b']
    if event.path == '/number':
        return 7
    if event.path == '/view':
        return memoryview(b'view')
    if event.path == '/none':
        return None
    if event.path == '/204':
        return {'statusCode': 204, 'body': 'never seen'}
    if event.path == '/304':
        return {'statusCode': 304, 'body': 'never seen', 'headers': {'Content-Length': 9}}
    if event.path == '/own-length':
        return {'body': 'hello', 'headers': {'Content-Length': '3', 'Connection': 'close', 'Transfer-Encoding': 'x'}}
    if event.path == '/raise':
        raise ValueError('no good')
    if event.path == '/exit':
        sys.exit(3)
    if event.path == '/interrupt':
        raise KeyboardInterrupt
    if event.path == '/split':
        return {'body': '', 'headers': {'X-A': 'b\r\nX-C: d'}}
    if event.path == '/split-name':
        return {'body': '', 'headers': {'X-A\r\nX-C': 'd'}}
    if event.path == '/control':
        return {'body': '', 'headers': {'X-A': 'b\x01'}}
    if event.path == '/status':
        return 'x', int(event.query['is'])
    if event.path == '/generator':
        return (part for part in ('text', b' bytes ', bytearray(b'array')))
    if event.path == '/bad-generator':
        return broken_generator()
    if event.path == '/coroutine':
        return coroutine()
    if event.path == '/numbers':
        return (number for number in (7, 8))
    if event.path == '/lies':
        return {'body': '', 'headers': {'X-Faas-Usage': 'wall=0', 'X-Faas-Fault': 'gateway; a lie'}}
    return 'hello'


async def coroutine():
    return 'never'


def broken_generator():
    yield 'begun'
    raise ValueError('half way')
