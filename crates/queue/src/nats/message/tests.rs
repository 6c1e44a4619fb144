use super::*;

fn job(headers: &[(&str, &str)]) -> Job {
    Job {
        id: "abc".parse().unwrap(),
        fresh: false,
        function: "resize.dev".to_owned().try_into().unwrap(),
        method: "PUT".into(),
        path: "/a/b".into(),
        query: "x=1".into(),
        host: "example.com".into(),
        headers: headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
        callback: Some("http://u:p@a.b/c?d".into()),
        annotations: BTreeMap::from([("com.openfaas.retry.attempts".into(), "3".into())]),
        accepted_at: "2026-01-02T03:04:05.678901234Z".parse().unwrap(),
    }
}

fn place() -> (FunctionId, CallId) {
    ("resize.dev".to_owned().try_into().unwrap(), "abc".parse().unwrap())
}

#[test]
fn a_job_comes_back_as_it_was() {
    for headers in [
        &[][..],
        &[("x-a", "1"), ("content-type", "text/plain"), ("x-a", "ä")],
        &[("X-A", "1"), ("x-a", "2"), ("", "odd")],
    ] {
        let content = Content {
            job: job(headers),
            body: Stored::Inline(Bytes::from_static(&[0, 255, 10])),
            nonce: "n".into(),
        };
        let encoded = content.encode("faas-request").unwrap();
        let decoded = Content::decode(&encoded, place(), Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(decoded.job, content.job);
        assert_eq!((decoded.body, decoded.nonce), (content.body, content.nonce));
    }
}

#[test]
fn others_read_the_contracts_fields() {
    let content = Content {
        job: job(&[("x-call-id", "abc"), ("accept", "a"), ("accept", "b")]),
        body: Stored::Inline(Bytes::from_static(b"hello")),
        nonce: String::new(),
    };
    let json: serde_json::Value = serde_json::from_slice(&content.encode("faas-request").unwrap()).unwrap();
    assert_eq!(json["Header"], serde_json::json!({"X-Call-Id": ["abc"], "Accept": ["a", "b"]}));
    assert_eq!(json["Body"], "aGVsbG8=");
    for (field, expect) in [
        ("Host", "example.com"),
        ("Method", "PUT"),
        ("Path", "/a/b"),
        ("QueryString", "x=1"),
        ("Function", "resize.dev"),
        ("QueueName", "faas-request"),
    ] {
        assert_eq!(json[field], expect, "{field}");
    }
    assert_eq!(json["CallbackUrl"]["Host"], "a.b");
    assert_eq!(json["Annotations"]["com.openfaas.retry.attempts"], "3");
}

#[test]
fn messages_of_others_are_jobs() {
    let payload = br#"{"Header":{"X-Call-Id":["abc"]},"Host":"h","Body":null,"Method":"POST","Path":"",
        "QueryString":"","Function":"resize.dev","QueueName":"","CallbackUrl":{"Scheme":"http","Host":"a","Path":"/b"}}"#;
    let stored_at = "2026-01-02T03:04:05Z".parse().unwrap();
    let Content { job, body, .. } = Content::decode(payload, place(), stored_at).unwrap();
    assert_eq!(job.accepted_at, stored_at);
    assert_eq!(job.callback.as_deref(), Some("http://a/b"));
    assert_eq!(job.headers, [("x-call-id".to_owned(), "abc".to_owned())]);
    assert_eq!(body, Stored::Inline(Bytes::new()));
}

#[test]
fn what_is_no_job_is_refused() {
    for bad in [
        &b""[..],
        b"\xff\xfe",
        b"[]",
        b"{}",
        br#"{"Method":"POST","Function":"other.dev","CallbackUrl":null}"#,
        br#"{"Method":"POST","Function":"resize.dev","CallbackUrl":null,"Body":"%%"}"#,
    ] {
        assert!(Content::decode(bad, place(), Timestamp::UNIX_EPOCH).is_err(), "{bad:?}");
    }
}
