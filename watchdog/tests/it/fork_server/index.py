"""The classic way: what OpenFaaS's python3 template starts for each request, in behaviour."""
import sys

from function import handler


def read_all():
    text = ''
    while True:
        line = sys.stdin.readline()
        text += line
        if line == '':
            return text


if __name__ == '__main__':
    st = read_all()
    ret = handler.handle(st)
    if ret != None:
        print(ret)
