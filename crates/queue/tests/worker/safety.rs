//! Where callbacks may not go.

use faas_queue::State;

use crate::world::{Server, World, answer, calling_back};

async fn gateway() -> Server {
    Server::start(|_, _| async { answer(200, &[], "answer") }).await
}

/// Refused at the first try, for good, and said so.
async fn assert_refused(world: &World, urls: &[String]) {
    let worker = world.worker();
    for (index, url) in urls.iter().enumerate() {
        let job = calling_back("f", &format!("job-{index}"), url.clone());
        world.append(&job, "").await;
        let found = world.ended(&job).await;
        assert_eq!((found.state, found.record.callbacks.len()), (State::Done, 1), "{url}");
        assert!(found.record.callbacks[0].failure.is_some(), "{url}");
    }
    worker.stop().await;
}

#[tokio::test]
async fn addresses_of_this_machine_are_refused_however_they_are_written() {
    let gateway = gateway().await;
    let target = Server::start(|_, _| async { answer(200, &[], "") }).await;
    let mut world = World::new(&gateway);
    world.settings.allowed.clear();
    let port = target.address.port();
    let hosts = [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "017700000001",
        "0.0.0.0",
        "0",
        "localhost",
        "LOCALHOST",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "user:pass@127.0.0.1",
    ];
    assert_refused(&world, &hosts.map(|host| format!("http://{host}:{port}/hook"))).await;
    assert_eq!(target.count(), 0, "0 of {} callbacks came", hosts.len());
}

#[tokio::test]
async fn addresses_of_others_machines_are_refused_without_asking_them() {
    let gateway = gateway().await;
    let world = World::new(&gateway);
    let urls = [
        "http://10.0.0.1/",
        "http://172.16.0.1/",
        "http://192.168.0.1/",
        "http://100.64.0.1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://[fd00:ec2::254]/",
        "http://[fe80::1]/",
        "http://224.0.0.1/",
        "https://10.0.0.1/",
    ];
    assert_refused(&world, &urls.map(str::to_owned)).await;
}

#[tokio::test]
async fn what_was_accepted_and_is_no_callback_is_refused() {
    let gateway = gateway().await;
    let world = World::new(&gateway);
    assert_refused(&world, &["ftp://example.com/", "hook", "http://"].map(str::to_owned)).await;
}

#[tokio::test]
async fn a_redirect_to_where_callbacks_may_not_go_is_not_followed() {
    let gateway = gateway().await;
    let hidden =
        Server::start_on("127.0.0.2:0".parse().unwrap(), |_, _| async { answer(200, &[], "") }).await;
    let (inner, system) = (hidden.url("/"), gateway.url("/system/functions"));
    let target = Server::start(move |_, seen| {
        let location = match seen.uri.path() {
            "/inner" => inner.clone(),
            "/system" => system.clone(),
            _ => "gopher://example.com/".to_owned(),
        };
        async move { answer(307, &[("location", &location)], "") }
    })
    .await;
    let world = World::new(&gateway);
    assert_refused(&world, &["/inner", "/system", "/other"].map(|path| target.url(path))).await;
    assert_eq!((hidden.count(), target.count()), (0, 3), "0 of 3 redirects were followed");
    assert!(gateway.seen().iter().all(|seen| seen.uri.path().starts_with("/function/")));
}

#[tokio::test]
async fn the_own_gateway_takes_invocations_and_nothing_else() {
    let gateway = gateway().await;
    let mut world = World::new(&gateway);
    world.settings.allowed.clear();
    let bad =
        ["/", "/system/functions", "/function/../system/functions", "/function/%2e%2e/system/functions"];
    assert_refused(&world, &bad.map(|path| gateway.url(path))).await;
    let worker = world.worker();
    for (index, path) in ["/function/next", "/async-function/next"].into_iter().enumerate() {
        let job = calling_back("f", &format!("good-{index}"), gateway.url(path));
        world.append(&job, "").await;
        assert_eq!(world.ended(&job).await.record.callbacks[0].failure, None, "{path}");
    }
    worker.stop().await;
    assert!(gateway.seen().iter().all(|seen| !seen.uri.path().contains("system")));
}

#[tokio::test]
async fn a_name_that_is_allowed_may_be_anywhere() {
    let gateway = gateway().await;
    let target = Server::start(|_, _| async { answer(200, &[], "") }).await;
    let mut world = World::new(&gateway);
    world.settings.allowed = vec!["localhost".parse().unwrap()];
    let job = calling_back("f", "1", format!("http://localhost:{}/", target.address.port()));
    world.append(&job, "").await;
    let worker = world.worker();
    let found = world.ended(&job).await;
    worker.stop().await;
    assert_eq!((found.record.callbacks[0].status, target.count()), (Some(200), 1));
}
