//! One row per variable: unset, set, and set to what nobody can read.

use std::collections::HashMap;
use std::path::Path;

use super::logs::LONGEST_LINE;
use super::*;

struct Variables(HashMap<String, String>);

impl Source for Variables {
    fn arguments(&self) -> Vec<OsString> {
        Vec::new()
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.0.get(name).cloned()
    }
}

/// `name=value` separated by `;`, over a start that works.
fn read(text: &str) -> Result<Config, Vec<String>> {
    let text = format!("fprocess=cat;{text}");
    let pairs = text.split(';').filter_map(|pair| pair.split_once('='));
    let variables = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    Config::read(Flags::default(), &Variables(variables))
}

fn fork(text: &str) -> Fork {
    match read(text).unwrap().mode {
        Mode::Fork(fork) => fork,
        _ => panic!("another mode"),
    }
}

fn http(text: &str) -> Http {
    match read(&format!("mode=http;upstream_url=http://127.0.0.1:1;{text}")).unwrap().mode {
        Mode::Http(http) => http,
        _ => panic!("another mode"),
    }
}

#[test]
fn unset_variables_have_the_contracts_defaults() {
    let config = read("").unwrap();
    let second = Duration::from_secs(1);
    assert_eq!((config.read_timeout, config.write_timeout), (30 * second, 30 * second));
    assert_eq!((config.healthcheck_interval, config.exec_timeout), (30 * second, Duration::ZERO));
    assert_eq!((config.listen, config.metrics_port), (Listen::Port(8080), Some(8081)));
    assert_eq!((config.max_inflight, config.suppress_lock), (0, false));
    assert_eq!((config.lock, config.temp), ("/tmp/.lock".into(), "/tmp".into()));
    let fork = fork("");
    assert!(fork.cgi_headers && fork.combine_output);
    assert!(!fork.write_debug && !fork.debug_headers && !fork.marshal_request && fork.content_type.is_none());
    let http = http("");
    assert!(http.logs.prefix && !http.buffer_body && !http.logs.call_id && http.ready_path.is_none());
    assert_eq!(http.logs.line, 65536);
}

#[test]
fn durations_are_gos_or_seconds_and_bad_ones_fall_back_with_a_warning() {
    for (text, expect, warnings) in [
        ("write_timeout=5", 5, 0),
        ("write_timeout=1m5s", 65, 0),
        ("write_timeout=", 30, 0),
        ("write_timeout=soon", 30, 1),
    ] {
        let config = read(text).unwrap();
        assert_eq!(config.write_timeout, Duration::from_secs(expect), "{text}");
        assert_eq!(config.healthcheck_interval, config.write_timeout, "follows, unless set");
        assert_eq!(config.warnings.len(), warnings, "{text}");
    }
    let config = read("healthcheck_interval=0;write_timeout=9s").unwrap();
    assert_eq!(config.healthcheck_interval, Duration::ZERO);
}

#[test]
fn exec_timeout_is_off_in_the_classic_dialect_only() {
    let of_watchdog = read("mode=http;upstream_url=unix:/s").unwrap();
    assert_eq!(of_watchdog.exec_timeout, Duration::from_secs(30));
    assert_eq!(read("mode=http;upstream_url=unix:/s;exec_timeout=0").unwrap().exec_timeout, Duration::ZERO);
    assert_eq!(read("exec_timeout=2s").unwrap().exec_timeout, Duration::from_secs(2));
}

#[test]
fn the_classic_dialect_takes_only_true_for_true() {
    for (value, expect) in [("true", true), ("1", false), ("True", false), ("false", false), ("yes", false)] {
        let fork = fork(&format!("mode=fork;write_debug={value};combine_output={value}"));
        assert_eq!((fork.write_debug, fork.combine_output), (expect, expect), "{value}");
        assert_eq!(read(&format!("suppress_lock={value}")).unwrap().suppress_lock, expect, "{value}");
    }
}

#[test]
fn of_watchdogs_dialect_takes_one_too() {
    for (value, expect) in [("true", true), ("1", true), ("True", false), ("0", false)] {
        for name in ["buffer_http", "http_buffer_req_body"] {
            assert_eq!(http(&format!("{name}={value}")).buffer_body, expect, "{name}={value}");
        }
        for name in ["log_callid", "log_call_id"] {
            assert_eq!(http(&format!("{name}={value}")).logs.call_id, expect, "{name}={value}");
        }
        assert_eq!(http(&format!("prefix_logs={value}")).logs.prefix, expect, "{value}");
    }
}

#[test]
fn the_modes_of_of_watchdog_share_their_defaults() {
    for mode in ["serializing", "streaming"] {
        let forking = |text: &str| match read(&format!("mode={mode};{text}")).unwrap().mode {
            Mode::Serializing(forking) | Mode::Streaming(forking) => forking,
            _ => panic!("another mode"),
        };
        let defaults = forking("");
        assert!(defaults.cgi_headers && defaults.logs.prefix && defaults.logs.line == 65536);
        assert_eq!(defaults.content_type, "application/octet-stream");
        let set = forking("content_type=text/css;prefix_logs=0;log_buffer_size=-1;cgi_headers=1");
        assert!(set.cgi_headers && !set.logs.prefix && set.logs.line == LONGEST_LINE);
        assert_eq!(set.content_type, "text/css");
        let config = read(&format!("mode={mode};function_process=wc")).unwrap();
        assert_eq!((config.process.as_str(), config.exec_timeout), ("wc", Duration::from_secs(30)));
    }
}

#[test]
fn files_need_a_folder_and_no_process() {
    for (text, folder) in [("", "/home/app/public"), ("static_path=/srv", "/srv")] {
        let config = read(&format!("fprocess=;mode=static;suppress_lock=1;{text}")).unwrap();
        assert!(matches!(&config.mode, Mode::Static(path) if path == Path::new(folder)), "{:?}", config.mode);
        assert!(config.suppress_lock && config.process.is_empty());
    }
}

#[test]
fn the_longest_line_is_bounded_even_without_a_limit() {
    for (value, expect) in [("100", 100), ("-1", LONGEST_LINE), ("0", 1), ("many", 65536), ("", 65536)] {
        assert_eq!(http(&format!("log_buffer_size={value}")).logs.line, expect, "{value}");
    }
}

fn worker(text: &str) -> Result<Worker, Vec<String>> {
    match read(&format!("mode=worker;{text}"))?.mode {
        Mode::Worker(worker) => Ok(worker),
        _ => panic!("another mode"),
    }
}

#[test]
fn workers_are_as_many_and_as_isolated_as_asked_for() {
    for (text, isolation, count) in [
        ("", Isolation::Worker, None),
        ("worker_isolation=fork;worker_count=1", Isolation::Fork, Some(1)),
        ("worker_isolation=exec;worker_count=64", Isolation::Exec, Some(64)),
    ] {
        let worker = worker(text).unwrap();
        assert_eq!((worker.isolation, worker.count), (isolation, count), "{text}");
    }
    for (text, problem) in [
        ("worker_isolation=thread", "worker_isolation: \"thread\": expected worker, fork or exec"),
        ("worker_count=0", "worker_count: \"0\": expected 1 to 64"),
        ("worker_count=65", "worker_count: \"65\": expected 1 to 64"),
        ("log_format=xml", "log_format: \"xml\": expected text or json"),
    ] {
        assert_eq!(worker(text).unwrap_err(), [problem], "{text}");
    }
}

#[test]
fn the_later_names_win() {
    let config =
        read("mode=http;function_process=node;upstream_url=unix:/a;http_upstream_url=unix:/b").unwrap();
    assert_eq!(config.process, "node");
    let Mode::Http(http) = config.mode else { panic!("another mode") };
    assert_eq!(http.upstream, "unix:/b".parse().unwrap());
}

#[test]
fn what_makes_starting_pointless_is_said_at_once() {
    for (text, problems) in [
        ("fprocess=", &["Provide a valid process via fprocess environmental variable."][..]),
        (
            "fprocess=;mode=http;upstream_url=unix:/s",
            &["provide a \"function_process\" or \"fprocess\" environmental variable for your function"],
        ),
        (
            "mode=http",
            &["for mode=http provide an \"upstream_url\" or \"http_upstream_url\" environmental variable"],
        ),
        (
            "mode=http;upstream_url=ftp://a",
            &["upstream_url \"ftp://a\": expected http://ADDRESS:PORT or unix:/PATH"],
        ),
        ("mode=afterburn", &["unknown watchdog mode: afterburn"]),
        ("mode=inproc;port=x", &["unknown watchdog mode: inproc", "port: \"x\" is not a port number"]),
        ("port=70000", &["port: \"70000\" is not a port number"]),
        ("jwt_auth=true", &["jwt_auth is not supported by this watchdog: unset it"]),
        ("mode=streaming;jwt_auth_local=1", &["jwt_auth_local is not supported by this watchdog: unset it"]),
        ("mode=static;write_timeout=0", &["write_timeout must be over zero in mode=static"]),
        ("mode=serializing;content_type=\u{1}", &["content_type: \"\\u{1}\" cannot stand in a header"]),
        ("mode=http;upstream_url=unix:/s;write_timeout=0", &["write_timeout must be over zero in mode=http"]),
    ] {
        assert_eq!(read(text).unwrap_err(), problems, "{text}");
    }
}

#[test]
fn metrics_can_be_moved_and_turned_off() {
    assert_eq!(read("metrics_port=9000").unwrap().metrics_port, Some(9000));
    assert_eq!(read("metrics_port=0").unwrap().metrics_port, None);
}

#[test]
fn under_a_supervisor_metrics_are_off_unless_asked_for() {
    let flags = || Flags { supervised: true, socket: Some("/s".into()), ..Flags::default() };
    let variables = |text: &str| {
        let pairs = text.split(';').filter_map(|pair| pair.split_once('='));
        Variables(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    };
    let config = Config::read(flags(), &variables("fprocess=cat")).unwrap();
    assert_eq!((config.metrics_port, config.listen), (None, Listen::Socket("/s".into())));
    let config = Config::read(flags(), &variables("fprocess=cat;metrics_port=9001")).unwrap();
    assert_eq!(config.metrics_port, Some(9001));
}
