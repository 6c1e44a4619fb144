//! The README's console session, line by line, as a new user types it.

use faas_testing::Platform;

const URL_LINE: &str = "/function/hello-python";

#[test]
fn the_first_session_goes_as_the_readme_says() {
    let platform = Platform::start();
    let faas = platform.faas();

    faas.run(&["new", "--lang", "python", "hello-python"]).success();
    for file in ["hello-python/handler.py", "hello-python/requirements.txt", "hello-python.yml"] {
        assert!(platform.folder.path().join(file).is_file(), "{file}");
    }

    let refused = faas.run(&["deploy", "-f", "hello-python.yml"]).failure();
    assert!(
        refused.contains("unauthorized access, run \"faas login\" to setup authentication for this server"),
        "{refused}"
    );

    let login = ["login", "-g", &platform.url, "-u", "admin", "--password-stdin"];
    let logged_in = faas.run_with(&login, format!("{}\n", platform.password()).as_bytes()).success();
    assert!(logged_in.contains(&format!("credentials saved for admin {}", platform.url)), "{logged_in}");

    faas.run(&["build", "-f", "hello-python.yml"]).success();
    let deployed = faas.run(&["deploy", "-f", "hello-python.yml"]).success();
    assert!(deployed.contains("\nDeployed. 202 Accepted.\n"), "{deployed}");
    assert!(deployed.contains(&format!("URL: {}{URL_LINE}\n", platform.url)), "{deployed}");

    let answer = platform.http().post("/function/hello-python", b"hello");
    assert_eq!((answer.status, answer.text().as_str()), (200, "hello\n"));
    assert_eq!(faas.run_with(&["invoke", "hello-python"], b"hello").success(), "hello\n");

    let listed = faas.run(&["list"]).success();
    let row = listed.lines().nth(1).unwrap_or_default();
    assert_eq!(row.split_whitespace().collect::<Vec<_>>(), ["hello-python", "2", "1"], "{listed}");

    let described = faas.run(&["describe", "hello-python"]).success();
    assert!(described.contains("Ready") && described.contains("hello-python:latest"), "{described}");
    let logs = faas.run(&["logs", "hello-python", "--tail=false"]).success();
    assert!(logs.contains("Forking fprocess."), "{logs}");

    let removed = faas.run(&["remove", "-f", "hello-python.yml"]).success();
    assert!(
        removed.contains("Deleting: hello-python.") && removed.contains("Removing old function."),
        "{removed}"
    );
    assert_eq!(platform.http().post("/function/hello-python", b"").status, 404);
}

#[test]
fn the_content_type_of_the_stack_file_is_answered() {
    let platform = Platform::start();
    let faas = platform.login();
    faas.run(&["new", "--lang", "python3", "typed"]).success();
    platform.write("typed/handler.py", "def handle(req):\n    return '{\"got\": \"%s\"}' % req\n");
    let stack = std::fs::read_to_string(platform.folder.path().join("typed.yml")).unwrap();
    platform.write("typed.yml", &format!("{stack}    environment:\n      content_type: application/json\n"));
    faas.run(&["up", "-f", "typed.yml"]).success();
    let answer = platform.http().post("/function/typed", b"hello");
    assert_eq!(
        (answer.header("content-type"), answer.text().as_str()),
        ("application/json", "{\"got\": \"hello\"}\n")
    );
}

#[test]
fn every_template_answers_as_it_was_made() {
    let platform = Platform::start();
    let faas = platform.login();
    for language in ["python3", "python3-http", "node", "bash"] {
        let name = format!("new-{language}");
        faas.run(&["new", "--lang", language, &name]).success();
        faas.run(&["up", "-f", &format!("{name}.yml")]).success();
        let answer = platform.http().post(&format!("/function/{name}"), b"hello");
        assert_eq!(answer.status, 200, "{language}: {}", answer.text());
        assert!(answer.text().to_lowercase().contains("hello"), "{language}: {}", answer.text());
    }
}

#[test]
fn a_changed_handler_answers_after_up() {
    let platform = Platform::start();
    let faas = platform.login();
    faas.run(&["new", "--lang", "bash", "changing"]).success();
    for version in ["one", "two"] {
        platform.write("changing/handler.sh", &format!("#!/bin/bash\necho {version}\n"));
        faas.run(&["up", "-f", "changing.yml"]).success();
        let expect = format!("{version}\n");
        faas_testing::wait_for("the new code", || {
            let answer = platform.http().get("/function/changing");
            assert_eq!(answer.status, 200, "{}", answer.text());
            (answer.text() == expect).then_some(())
        });
    }
}

#[test]
fn a_dependency_is_installed_into_the_package() {
    let platform = Platform::start();
    let wheels = make_wheel(&platform);
    let faas = platform.login().with("PIP_NO_INDEX", "1").with("PIP_FIND_LINKS", &wheels);
    faas.run(&["new", "--lang", "python3-http", "dependent"]).success();
    platform.write("dependent/requirements.txt", "greeting==1.0\n");
    platform.write(
        "dependent/handler.py",
        "import greeting\n\ndef handle(event, context):\n    return greeting.greet(event.body.decode())\n",
    );
    faas.run(&["up", "-f", "dependent.yml"]).success();
    assert_eq!(platform.http().post("/function/dependent", b"you").text(), "hello you");
}

/// A wheel is a zip with three files of metadata. The folder it is in.
fn make_wheel(platform: &Platform) -> String {
    use std::io::Write as _;
    let folder = platform.folder.path().join("wheels");
    std::fs::create_dir_all(&folder).unwrap();
    let file = std::fs::File::create(folder.join("greeting-1.0-py3-none-any.whl")).unwrap();
    let mut wheel = zip::ZipWriter::new(file);
    for (name, text) in [
        ("greeting.py", "def greet(name):\n    return 'hello ' + name\n"),
        ("greeting-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: greeting\nVersion: 1.0\n"),
        ("greeting-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"),
        (
            "greeting-1.0.dist-info/RECORD",
            "greeting.py,,\ngreeting-1.0.dist-info/METADATA,,\ngreeting-1.0.dist-info/WHEEL,,\ngreeting-1.0.dist-info/RECORD,,\n",
        ),
    ] {
        wheel.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        wheel.write_all(text.as_bytes()).unwrap();
    }
    wheel.finish().unwrap();
    folder.to_string_lossy().into_owned()
}
