use proptest::prelude::*;

use super::*;

fn own() -> OwnGateway {
    OwnGateway::new(["http://gateway.openfaas.svc.cluster.local:8080", "http://127.0.0.1:8080"]).unwrap()
}

#[test]
fn web_addresses_are_accepted() {
    for good in [
        "http://example.com",
        "https://example.com:8443/a/b?c=d#e",
        "HTTP://EXAMPLE.com/",
        "http://user:pass@example.com/hook",
        "http://[2001:4860::1]:80/",
        "http://gateway.openfaas:8080/function/next",
        "http://gateway.openfaas.svc:8080/async-function/next.ns/path?q=1",
        "http://gateway.openfaas:9090/elsewhere",
    ] {
        assert_eq!(check_callback(good, &own()), Ok(()), "{good}");
    }
}

#[test]
fn what_is_no_web_address_is_refused() {
    for bad in [
        "",
        "/path",
        "example.com/path",
        "http://",
        "http:///path",
        "http://@/",
        "http://exa mple.com/",
        "http://example.com:port/",
        "http://example.com:99999/",
        "http://example.com:0/",
        "http://example.com:/",
        "http://[::1%25eth0]/",
        "http://[::1/",
        "http://a%2eb/",
        &format!("http://example.com/{}", "a".repeat(9000)),
    ] {
        assert_eq!(check_callback(bad, &own()), Err(InvalidCallback::Url), "{bad}");
    }
    for bad in ["ftp://example.com/", "file://host/etc/passwd", "gopher://example.com/"] {
        assert_eq!(check_callback(bad, &own()), Err(InvalidCallback::Scheme), "{bad}");
    }
}

#[test]
fn of_the_own_gateway_only_invocations_are_called_back() {
    for path in [
        "",
        "/",
        "/system/functions",
        "/function",
        "/functions/x",
        "/function/../system/functions",
        "/function/%2e%2E/system/functions",
        "/function/x/./y",
        "/function//x",
        "/function%2fx",
        "/function/..%2fsystem",
        "/function/..%5Csystem",
        "/healthz",
    ] {
        for host in
            ["gateway.openfaas:8080", "GATEWAY.openfaas.svc.cluster.local.:8080", "u:p@127.0.0.1:8080"]
        {
            let url = format!("http://{host}{path}");
            assert_eq!(check_callback(&url, &own()), Err(InvalidCallback::OwnPath), "{url}");
        }
    }
}

#[test]
fn what_may_be_secret_is_not_printed() {
    let url = CallbackUrl::parse("https://user:pass@example.com/hook?token=secret").unwrap();
    assert_eq!(url.to_string(), "https://example.com/hook");
    assert_eq!(format!("{url:?}"), "https://example.com/hook");
    assert_eq!(url.uri().to_string(), "https://example.com/hook?token=secret");
    assert_eq!(url.user_info(), Some("user:pass"));
}

#[test]
fn redirects_lead_where_they_say_without_user_and_password() {
    let from = CallbackUrl::parse("https://u:p@example.com:8443/a/b?c").unwrap();
    for (location, to) in [
        ("http://other/x", "http://other/x"),
        ("//other/x", "https://other/x"),
        ("/x?y", "https://example.com:8443/x?y"),
        ("x", "https://example.com:8443/a/x"),
        ("?z=http://other/", "https://example.com:8443/a/b?z=http://other/"),
        ("?z", "https://example.com:8443/a/b?z"),
    ] {
        let url = from.join(&HeaderValue::from_static(location)).unwrap();
        assert_eq!((url.uri().to_string().as_str(), url.user_info()), (to, None), "{location}");
    }
    assert_eq!(from.join(&HeaderValue::from_static("ftp://x/")), Err(InvalidCallback::Scheme));
}

proptest! {
    #[test]
    fn no_text_panics_and_what_is_accepted_is_accepted_again(text in "(https?://)?[\\PC]{0,40}", to in "\\PC{0,20}") {
        if let Ok(url) = CallbackUrl::parse(&text) {
            let again = CallbackUrl::parse(&url.uri().to_string()).unwrap();
            prop_assert_eq!(again.uri(), url.uri());
            if let Ok(location) = HeaderValue::from_str(&to) {
                let _ = url.join(&location);
            }
        }
    }
}
