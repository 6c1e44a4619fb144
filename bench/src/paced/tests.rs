use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::thread;

use super::*;

/// Answers each request with the next of these texts, on any number of connections, until the process ends.
fn server(answers: &'static [&'static str]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || serve(&stream.unwrap(), answers));
        }
    });
    address
}

fn serve(mut stream: &TcpStream, answers: &[&str]) {
    let mut answers = answers.iter().cycle();
    for line in BufReader::new(stream).lines().map_while(Result::ok) {
        if line.is_empty() {
            stream.write_all(answers.next().unwrap().as_bytes()).unwrap();
        }
    }
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx";
const LATER: &str = "HTTP/1.1 429 Too Many Requests\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n";
const BAD: &str = "HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n";

fn rate(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap()
}

#[test]
fn every_request_of_the_schedule_is_sent_and_counted() {
    let paced = Paced::get(server(&[OK]), ["/a".to_owned(), "/b".to_owned()]);
    let load = paced.load(rate(500), Duration::from_millis(200)).unwrap();
    assert_eq!(load.requests, 100);
    assert!(load.p50 <= load.p99 && load.p99 < PATIENCE);
}

#[test]
fn answers_are_told_apart() {
    let paced = Paced::get(server(&[OK, LATER, BAD]), ["/".to_owned()]);
    let outcome = paced.run(Pace::Clients(rate(1)), Duration::from_millis(100)).unwrap();
    assert!(outcome.good > 0 && outcome.refused > 0 && outcome.bad > 0, "{outcome:?}");
    assert!(outcome.good - outcome.bad <= 1, "one client asks in turns: {outcome:?}");
    assert_eq!(outcome.example(), "502");
    assert!(paced.load(rate(100), Duration::from_millis(100)).is_err());
}

#[test]
fn what_waits_for_its_turn_is_late() {
    let mut schedule =
        Schedule { pace: Pace::PerSecond(rate(10)), next: Instant::now(), end: Instant::now() + PATIENCE };
    let (mut due, first) = (VecDeque::new(), schedule.next);
    schedule.add(&mut due, 0, first + Duration::from_millis(250));
    assert_eq!(due, [0, 100, 200].map(|late| first + Duration::from_millis(late)));
    assert!(!schedule.is_over(first));
    schedule.add(&mut due, 0, schedule.end);
    assert!(schedule.is_over(first), "nothing is due any more, though the time is not over");
}
