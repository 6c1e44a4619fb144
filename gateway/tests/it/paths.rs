//! No spelling of a path reaches another function than the one whose name stands in it as it is.

use crate::fixture::{Client, Server, Upstream};

/// Who may see a request, and with which target.
enum Expect {
    /// The function `f`.
    F(&'static str),
    /// The function `f`, or nobody.
    PerhapsF(&'static str),
    /// Nobody: a redirect.
    Moved(&'static str),
    /// Nobody: a refusal of this kind.
    Nobody(u16),
}

use Expect::{F, Moved, Nobody, PerhapsF};

const NAMES: &[(&str, Expect)] = &[
    ("/function/f", F("/")),
    ("/function/f/", F("/")),
    ("/function/f?a=b", F("/?a=b")),
    ("/function/f/?a=b", F("/?a=b")),
    ("/function/f.openfaas-fn", F("/")),
    ("/function/f.openfaas-fn/a", F("/a")),
    ("http://gateway/function/f/a", F("/a")),
    ("/function/f.", Nobody(404)),
    ("/function/f.other", Nobody(404)),
    ("/function/f.openfaas-fn.", Nobody(404)),
    ("/function/.openfaas-fn", Nobody(404)),
    ("/function/f.g", Nobody(404)),
    ("/function/F", Nobody(404)),
    ("/FUNCTION/f", Nobody(404)),
    ("/functions/f", Nobody(404)),
    ("/function", Nobody(404)),
    ("/function/f;g", Nobody(404)),
    ("/function/f,g", Nobody(404)),
    ("/function/f:80", Nobody(404)),
    ("/function/g@f", Nobody(404)),
    ("/function/f&g", Nobody(404)),
    ("/function/%66", Nobody(404)),
    ("/function%2Ff", Nobody(404)),
    ("/%66unction/f", Nobody(404)),
    ("/function/f%2Fa", Nobody(404)),
    ("/function/f%2fa", Nobody(404)),
    ("/function/f%252Fa", Nobody(404)),
    ("/function/f%5Ca", Nobody(404)),
    ("/function/f\\a", Nobody(404)),
    ("/function/f%00", Nobody(404)),
    ("/function/f%00/g", Nobody(404)),
    ("/function/f%20", Nobody(404)),
    ("/function/f%0d%0a", Nobody(404)),
    ("/function/f%3Fg", Nobody(404)),
    ("/function/f%23g", Nobody(404)),
    ("/function/f%2eopenfaas-fn", Nobody(404)),
];

const TRAVERSAL: &[(&str, Expect)] = &[
    ("/function/f/../g", Moved("/function/g")),
    ("/function/f/..", Moved("/function")),
    ("/function/f/../", Moved("/function/")),
    ("/function/f/./../g", Moved("/function/g")),
    ("/function/f/a/../../g", Moved("/function/g")),
    ("/function/f/%2e%2e/g", Moved("/function/g")),
    ("/function/f/%2E%2E/g", Moved("/function/g")),
    ("/function/f/.%2e/g", Moved("/function/g")),
    ("/function/f/%2e./g", Moved("/function/g")),
    ("/function/f/..%2fg", Moved("/function/g")),
    ("/function/f/%2e%2e%2fg", Moved("/function/g")),
    ("/function/f/a%2f..%2f..%2fg", Moved("/function/g")),
    ("/function/f/%2e%2e/%2e%2e/system/functions", Moved("/system/functions")),
    ("/function/f/../../../../function/g", Moved("/function/g")),
    ("/function/f%2f..%2fg", Moved("/function/g")),
    ("/function/..%2fg", Moved("/g")),
    ("/function/../function/g", Moved("/function/g")),
    ("/function/g/../f", Moved("/function/f")),
    ("/system/../function/g", Moved("/function/g")),
    ("/healthz/../function/g", Moved("/function/g")),
    ("/../function/g", Moved("/function/g")),
    ("/./function/g", Moved("/function/g")),
    ("/function/./g", Moved("/function/g")),
    ("/function//g", Moved("/function/g")),
    ("//function/g", Moved("/function/g")),
    ("//evil.example/%2e%2e", Moved("/")),
    ("//evil.example/a", Moved("/evil.example/a")),
    ("/%2fevil.example/a", Moved("/evil.example/a")),
    ("/function/f//a", Moved("/function/f/a")),
    ("/function/f/%2fa", Moved("/function/f/a")),
    ("/function/f/.", Moved("/function/f")),
    ("/function/f/../g?a=../f", Moved("/function/g?a=../f")),
    ("http://gateway/function/f/../g", Moved("/function/g")),
];

const SUFFIXES: &[(&str, Expect)] = &[
    ("/function/f/a/b?q=1", F("/a/b?q=1")),
    ("/function/f/a%2Fb", F("/a/b")),
    ("/function/f/a%20b", F("/a%20b")),
    ("/function/f/a%3Fb", F("/a%3Fb")),
    ("/function/f/a%23b", F("/a%23b")),
    ("/function/f/a%25b", F("/a%25b")),
    ("/function/f/a%0d%0aHost:%20g", F("/a%0D%0AHost:%20g")),
    ("/function/f/a%00b", PerhapsF("/a%00b")),
    ("/function/f?/../g", F("/?/../g")),
    ("/function/f?a=%2e%2e%2fg", F("/?a=%2e%2e%2fg")),
    ("/function/f/?/function/g", F("/?/function/g")),
    ("/function/f/function/g", F("/function/g")),
    ("/function/f/...", F("/...")),
    ("/function/f/..a/g", F("/..a/g")),
    ("/function/f/..;/g", F("/..;/g")),
    ("/function/f/%2e%2e;a=b/g", F("/..;a=b/g")),
    ("/function/f/..\\g", PerhapsF("/..%5Cg")),
    ("/function/f/..\\..\\g", PerhapsF("/..%5C..%5Cg")),
    ("/function/f/..%5Cg", F("/..%5Cg")),
    ("/function/f/%5c..%5c..%5cg", F("/%5C..%5C..%5Cg")),
    ("/function/f/%252e%252e/g", F("/%252e%252e/g")),
    ("/function/f/%252e%252e%252fg", F("/%252e%252e%252fg")),
    ("/function/f/%25252e%25252e/g", F("/%25252e%25252e/g")),
    ("/function/f/%c0%ae%c0%ae/g", F("/%C0%AE%C0%AE/g")),
    ("/function/f/%c0%2e%c0%2e/g", F("/%C0.%C0./g")),
    ("/function/f/..%c0%afg", F("/..%C0%AFg")),
    ("/function/f/%e0%80%ae%e0%80%ae/g", F("/%E0%80%AE%E0%80%AE/g")),
    ("/function/f/%ef%bc%8e%ef%bc%8e/g", F("/%EF%BC%8E%EF%BC%8E/g")),
    ("/function/f/%ff%fe", F("/%FF%FE")),
    ("/function/f/%", Nobody(400)),
    ("/function/f/%2", Nobody(400)),
    ("/function/f/%zz", Nobody(400)),
    ("/function/f/%%32e", Nobody(400)),
    ("/function/f/%u002e%u002e/g", Nobody(400)),
    ("/function/f/%+2e/g", Nobody(400)),
];

#[test]
fn only_a_name_as_it_stands_reaches_its_function() {
    check(NAMES);
}

#[test]
fn traversal_is_redirected_and_reaches_nobody() {
    check(TRAVERSAL);
}

#[test]
fn a_function_sees_what_follows_its_name_and_no_traversal() {
    check(SUFFIXES);
}

fn check(table: &[(&str, Expect)]) {
    let server = Server::start();
    let wrong: Vec<_> = table.iter().filter_map(|entry| outcome(&server, entry.0, &entry.1).err()).collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), table.len(), wrong.join("\n"));
}

fn outcome(server: &Server, target: &str, expect: &Expect) -> Result<(), String> {
    let (f, g) = (Upstream::start(), Upstream::start());
    server.route("f", &[&f]);
    server.route("g", &[&g]);
    let answer = Client::new(server).call(format!("GET {target} HTTP/1.1\r\nHost: gateway\r\n\r\n"));
    f.finish();
    g.finish();
    let location = answer.header("location").unwrap_or_default();
    let seen: Vec<_> = f.requests().into_iter().map(|request| request.target).collect();
    let fine = match *expect {
        F(path) => answer.status == 200 && seen == [path],
        PerhapsF(path) => answer.status == 200 && seen == [path] || answer.status == 400 && seen.is_empty(),
        Moved(to) => answer.status == 301 && location == to && seen.is_empty(),
        Nobody(status) => answer.status == status && seen.is_empty(),
    };
    let others = g.requests();
    if fine && others.is_empty() {
        return Ok(());
    }
    Err(format!("  {target}: {} {location:?}, f saw {seen:?}, g saw {others:?}", answer.status))
}
