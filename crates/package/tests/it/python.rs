use std::io::{Read as _, Write as _};

use faas_package::{Manifest, Runtime, Signature};

use crate::replica::{Package, interpreter};

fn fork(handler: &str) -> Option<Package> {
    Package::python(Signature::Openfaas, handler)
}

#[test]
fn what_handle_returns_and_prints_is_the_answer() {
    for (handler, expected) in [
        ("def handle(req):\n    return req", "grüße\n"),
        ("def handle(req):\n    return None", ""),
        ("def handle(req):\n    print('log')\n    return 7", "log\n7\n"),
        ("def handle(req):\n    print('log')\n    return req.encode()", "log\ngrüße\n"),
    ] {
        let Some(package) = fork(handler) else { return };
        let output = package.fork("grüße".as_bytes());
        assert!(output.status.success(), "{output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
    }
}

#[test]
fn bytes_that_are_no_text_and_line_ends_pass_unchanged() {
    let Some(package) = fork("def handle(req):\n    assert isinstance(req, str)\n    return req") else {
        return;
    };
    assert_eq!(package.fork(b"a\r\n\xff\x00").stdout, b"a\r\n\xff\x00\n");
}

#[test]
fn an_exception_and_an_import_error_are_tracebacks_and_exit_status_1() {
    for (handler, expected) in [
        ("def handle(req):\n    raise ValueError('no good')", "ValueError: no good"),
        ("import missing_module", "No module named 'missing_module'"),
        ("def other(req):\n    pass", "has no attribute 'handle'"),
    ] {
        let Some(package) = fork(handler) else { return };
        let output = package.fork(b"");
        assert_eq!(output.status.code(), Some(1));
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains("Traceback") && text.contains(expected), "{text}");
    }
}

#[test]
fn handlers_import_their_own_modules_and_dependencies_and_not_ours() {
    let Some(python) = interpreter(Runtime::Python3) else { return };
    let handler = "from .inner import own\nimport top, installed, http\nfrom function.top import NAME\n\
                   def handle(req):\n    return ' '.join([own.NAME, NAME, installed.NAME, http.__name__, str(hasattr(http, 'HTTPStatus'))])";
    let files = [("handler.py", handler), ("inner/own.py", "NAME = 'own'"), ("top.py", "NAME = 'top'")];
    let manifest = Manifest::new(Runtime::Python3, Signature::Openfaas, "handler.handle");
    let package =
        Package::new(&python, &manifest, &files, &[("installed/__init__.py", "NAME = 'installed'")]);
    let output = package.fork(b"");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "own top installed http True\n", "{output:?}");
}

const HTTP: &str = "
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
    if event.path == '/tuple':
        return 'made', 201, {'X-A': 'b'}
    if event.path == '/plain-dict':
        return {'a': 1}
    if event.path == '/none':
        return None
    if event.path == '/204':
        return {'statusCode': 204}
    if event.path == '/raise':
        raise ValueError('no good')
    if event.path == '/exit':
        sys.exit(3)
    if event.path == '/split':
        return {'body': '', 'headers': {'X-A': 'b\\r\\nX-C: d'}}
    return 'hello'
";

#[test]
fn every_form_of_answer_is_understood() {
    let Some(package) = Package::python(Signature::Http, HTTP) else { return };
    let server = package.serve(&[]);
    for (target, status, header, body) in [
        ("/", "200", "content-type: text/html; charset=utf-8", "hello"),
        ("/echo", "200", "content-length: 4", "body"),
        ("/dict", "418", "content-type: text/plain\r\nset-cookie: a\r\nset-cookie: b", "tea"),
        ("/tuple", "201", "x-a: b", "made"),
        ("/plain-dict", "200", "content-type: application/json", "{\"a\": 1}"),
        ("/none", "200", "content-length: 0", ""),
        ("/204", "204", "", ""),
        ("/raise", "500", "content-type: text/plain", "Internal Server Error\n"),
        ("/exit", "500", "content-type: text/plain", "Internal Server Error\n"),
        ("/split", "500", "content-type: text/plain", "Internal Server Error\n"),
    ] {
        let answer = server.exchange(&format!("POST {target} HTTP/1.1"), b"body");
        assert_eq!((answer.status(), answer.body.as_str()), (status, body), "{target}");
        assert!(answer.head.contains(header), "{target}: {}", answer.head);
        assert!(!answer.head.contains("x-c"), "{target}: {}", answer.head);
    }
    server.terminate();
    let (status, stdout, stderr) = server.ended();
    assert!(status.success(), "{status}");
    assert!(stdout.contains("called /echo\n"), "{stdout}");
    assert!(stderr.contains("ValueError: no good") && stderr.contains("SystemExit: 3"), "{stderr}");
}

#[test]
fn the_event_has_the_parts_of_the_request() {
    let Some(package) = Package::python(Signature::Http, HTTP) else { return };
    let server = package.serve(&[]);
    let answer =
        server.exchange("PUT /%72equest?a=1&a=%20&b HTTP/1.1\r\nx-custom: one\r\nX-Custom: two", b"x");
    let expected = r#"{"type": "bytes", "method": "PUT", "query": {"a": "1", "b": ""}, "all": ["1", " "], "path": "/request", "host": true, "custom": "one, two", "none": null}"#;
    assert_eq!(answer.body, expected);
}

#[test]
fn connections_are_kept_and_bodies_may_be_chunked() {
    let Some(package) = Package::python(Signature::Http, HTTP) else { return };
    let server = package.serve(&[]);
    let mut stream = server.connect();
    let chunked = "POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nX-T: v\r\n\r\n";
    let expected =
        "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: 5\r\n\r\nabcde";
    for _ in 0..3 {
        stream.write_all(chunked.as_bytes()).unwrap();
        let mut answer = vec![0; expected.len()];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(String::from_utf8(answer).unwrap(), expected);
    }
    let answer = server.raw(b"HEAD / HTTP/1.0\r\n\r\n");
    assert!(answer.head.contains("content-length: 5") && answer.body.is_empty(), "{answer:?}");
}

#[test]
fn malformed_and_oversized_requests_are_refused() {
    let Some(package) = Package::python(Signature::Http, HTTP) else { return };
    let server = package.serve(&[("MAX_BODY_BYTES", "10")]);
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(2000));
    for (request, status) in [
        ("GET /\r\n\r\n", "400"),
        ("G@T / HTTP/1.1\r\n\r\n", "400"),
        ("GET / HTTP/2.0\r\n\r\n", "505"),
        ("GET / HTTP/1.1\r\nno colon\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nA : b\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nA: b\r\n folded\r\n\r\n", "400"),
        ("POST / HTTP/1.1\r\nContent-Length: +1\r\n\r\nx", "400"),
        ("POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx", "400"),
        ("POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", "501"),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", "400"),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", "400"),
        ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n01234567890\r\n0\r\n\r\n", "413"),
        ("POST / HTTP/1.1\r\nContent-Length: 11\r\n\r\n01234567890", "413"),
        (&many, "431"),
    ] {
        let answer = server.raw(request.as_bytes());
        assert_eq!(answer.status(), status, "{request:?}: {answer:?}");
    }
    assert_eq!(server.exchange("POST /echo HTTP/1.1", b"0123456789").body, "0123456789");
}

#[test]
fn a_handler_that_does_not_import_ends_before_it_listens() {
    let Some(package) = Package::python(Signature::Http, "import missing_module") else { return };
    let (status, _, stderr) = package.serve(&[]).ended();
    assert_eq!(status.code(), Some(1));
    assert!(stderr.contains("No module named 'missing_module'"), "{stderr}");
}

#[test]
fn the_end_waits_for_open_connections() {
    let Some(package) = Package::python(Signature::Http, HTTP) else { return };
    let server = package.serve(&[]);
    let mut stream = server.connect();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    stream.read_exact(&mut [0; 10]).unwrap();
    server.terminate();
    stream.write_all(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n").unwrap();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    assert_eq!(rest.matches("hello").count(), 2, "{rest}");
    drop(stream);
    assert!(server.ended().0.success());
}

#[test]
fn nothing_of_the_users_hides_the_package_that_the_handler_is_in() {
    let Some(python) = interpreter(Runtime::Python3) else { return };
    let manifest = Manifest::new(Runtime::Python3, Signature::Openfaas, "handler.handle");
    let handler = "from .other import NAME\nimport function\n\
                   def handle(req):\n    return NAME + getattr(function, 'OWN', '')";
    let other = ("other.py", "NAME = 'other'");
    let dependencies = [("function/__init__.py", "raise ImportError('the wrong one')")];
    for (file, expected) in [
        (("function.py", "raise ImportError('the wrong one')"), "other\n"),
        (("__init__.py", "OWN = ' and its __init__'"), "other and its __init__\n"),
    ] {
        let package =
            Package::new(&python, &manifest, &[("handler.py", handler), other, file], &dependencies);
        let output = package.fork(b"");
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{output:?}");
    }
}

#[test]
fn a_bound_on_bodies_may_have_a_unit() {
    let Some(package) = Package::python(Signature::Http, "def handle(event, context):\n    return 'ok'")
    else {
        return;
    };
    let (status, _, stderr) = package.serve(&[("MAX_BODY_BYTES", "lots")]).ended();
    assert_eq!(status.code(), Some(1));
    assert_eq!(stderr, "MAX_BODY_BYTES is 'lots': expected a size such as 1000, 100kb or 64mb\n");
    let server = package.serve(&[("MAX_BODY_BYTES", "0.01kb")]);
    assert_eq!(server.exchange("POST / HTTP/1.1", b"0123456789").body, "ok");
    assert_eq!(server.exchange("POST / HTTP/1.1", b"01234567890").status(), "413");
}
