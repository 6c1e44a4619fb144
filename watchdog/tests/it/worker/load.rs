//! Many calls: none is lost, mixed up, or leaves anything behind.

use faas_package::Signature;

use crate::function::Function;
use crate::harness::{children, descriptors, soak, until};

const ECHO: &str =
    "def handle(event, context):\n    return event.body, {'X-Number': event.headers['X-Number']}";
const ISOLATIONS: [&str; 3] = ["worker", "fork", "exec"];

#[test]
fn sixty_four_connections_with_small_and_large_bodies() {
    for (handler, isolations) in
        [(ECHO.to_owned(), &ISOLATIONS[..]), (format!("async {ECHO}"), &ISOLATIONS[..1])]
    {
        let Some(function) = Function::python(Signature::Http, &handler) else { return };
        for &isolation in isolations {
            echo_at_once(&function, &[("worker_isolation", isolation)]);
        }
    }
}

#[test]
fn sixty_four_connections_to_node() {
    let echo = "module.exports = async (event, context) =>
        context.status(200).headers({'x-number': event.headers['x-number']}).succeed(event.body);";
    let Some(function) = Function::node(echo) else { return };
    echo_at_once(&function, &[("RAW_BODY", "true")]);
}

fn echo_at_once(function: &Function, variables: &[(&str, &str)]) {
    let watchdog = function.ready(variables);
    for size in [0, 1_000_000] {
        std::thread::scope(|scope| {
            for number in 0..64_u8 {
                let watchdog = &watchdog;
                scope.spawn(move || {
                    let body = vec![number; size];
                    let header = format!("X-Number: {number}\r\n");
                    let answer = watchdog.send("POST", "/", &header, &body);
                    assert_eq!(answer.status, 200, "{variables:?} {size}: {}", watchdog.log());
                    assert!(answer.body == body, "{variables:?} {size}");
                    assert_eq!(answer.header("x-number"), Some(number.to_string().as_str()));
                });
            }
        });
    }
}

#[test]
fn neither_processes_nor_descriptors_stay_behind() {
    let Some(function) = Function::python(Signature::Http, ECHO) else { return };
    for (isolation, calls) in [("worker", soak(500)), ("fork", soak(500)), ("exec", 100)] {
        let watchdog = function.ready(&[("worker_isolation", isolation), ("worker_count", "1")]);
        let call = || assert_eq!(watchdog.send("POST", "/", "X-Number: 1\r\n", b"x").status, 200);
        call();
        let kept = || {
            let pids = children(watchdog.pid());
            let open = pids
                .iter()
                .filter_map(|pid| Some(std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count()));
            let open: usize = open.sum();
            (pids.len(), open, descriptors(watchdog.pid()))
        };
        let quiet = || (isolation != "exec" || kept().0 == 0).then(kept);
        let before = until("all quiet", || quiet().filter(|now| *now == kept()));
        for _ in 0..calls {
            call();
        }
        until(&format!("{isolation}: as before {calls} calls, {before:?}, not {:?}", kept()), || {
            quiet().filter(|now| now.0 <= before.0 && now.1 <= before.1 && now.2 <= before.2)
        });
    }
}
