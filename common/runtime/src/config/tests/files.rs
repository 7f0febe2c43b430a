//! Tests of settings files that cannot be read, and of values in files that environment variables name.

use super::*;

/// Loads with this one variable, which names a file with this content.
fn load_file(variable: &str, content: &str) -> Result<Settings, String> {
    let file = File::new(content);
    load(None, &[(variable, file.0.to_str().unwrap())], &[])
}

const JWT_KEY_FILE: &str = "EXPEDITER__SECRETS__JWT_KEY_FILE";
const NAMESPACE_FILE: &str = "EXPEDITER__BROKER__NAMESPACE_FILE";

/// Returns a key of 32 bytes.
fn a_key() -> String {
    format!("{}E=", "b".repeat(42))
}

#[test]
fn every_setting_can_be_in_a_file() {
    for key in leaves("", &Layers::new().known) {
        let variable = format!("{}_FILE", variable(&key));
        let missing = load(None, &[(&variable, "/nowhere")], &[]).unwrap_err();
        let expected = format!(
            "settings: {key} is in a file that cannot be read: No such file or directory (os error 2) (environment \
             variable {variable})"
        );
        assert_eq!(missing, expected);
    }
}

#[test]
fn no_settings_name_is_that_of_another_ones_file() {
    let known = leaves("", &Layers::new().known);
    for key in &known {
        assert!(!known.contains(&format!("{key}_file")), "{key}");
    }
}

#[test]
fn a_file_is_the_value_but_for_its_last_line_break() {
    let key = a_key();
    for end in ["", "\n", "\r\n"] {
        let settings = load_file(JWT_KEY_FILE, &format!("{key}{end}")).unwrap();
        assert_eq!(settings.secrets.jwt_key.expose(), key, "{end:?}");
    }
    let url = "mysql://me:\"hunter2\"@db/x";
    let settings = load_file("EXPEDITER__DATABASE__URL_FILE", &format!("{url}\n")).unwrap();
    assert_eq!(settings.database.url.expose(), url);
    for (content, value) in [
        ("42\n", "42"),
        ("true", "true"),
        ("2026-11-20", "2026-11-20"),
    ] {
        let settings = load_file(NAMESPACE_FILE, content).unwrap();
        assert_eq!(settings.broker.namespace, value);
    }
    // Spaces, quotes and further line breaks belong to the value, and are none of a namespace.
    for content in ["expediter\n\n", " expediter", "\"expediter\"", "a\r\nb"] {
        let wrong = load_file(NAMESPACE_FILE, content).unwrap_err();
        assert!(wrong.contains("broker.namespace"), "{content:?}: {wrong}");
    }
}

#[test]
fn numbers_and_lists_can_be_in_files_too() {
    let settings = load_file("EXPEDITER__INTAKE__WRITERS_FILE", "4\n").unwrap();
    assert_eq!(settings.intake.writers, 4);
    for content in [
        "[10.0.0.0/8, fd00::/8]\n",
        "[\n  \"10.0.0.0/8\",\n  \"fd00::/8\",\n]\n",
    ] {
        let settings = load_file("EXPEDITER__WORKER__ALLOW_NETWORKS_FILE", content).unwrap();
        assert_eq!(settings.worker.allow_networks.len(), 2, "{content}");
    }
}

#[test]
fn a_setting_that_ends_in_file_is_itself_and_can_be_in_a_file() {
    let here = [("EXPEDITER__BROKER__URL", "amqps://mq/x")];
    let path = [here[0], ("EXPEDITER__BROKER__CA_FILE", "/run/ca.pem")];
    let settings = load(None, &path, &[]).unwrap();
    assert_eq!(settings.broker.ca_file, Some("/run/ca.pem".into()));
    let file = File::new("/run/other.pem\n");
    let name = file.0.to_str().unwrap();
    let in_file = [here[0], ("EXPEDITER__BROKER__CA_FILE_FILE", name)];
    let settings = load(None, &in_file, &[]).unwrap();
    assert_eq!(settings.broker.ca_file, Some("/run/other.pem".into()));
}

#[test]
fn a_value_beside_its_file_is_refused_in_either_order_and_form() {
    let file = File::new(&a_key());
    let in_file = (JWT_KEY_FILE, file.0.to_str().unwrap());
    for (name, value) in [
        ("EXPEDITER__SECRETS__JWT_KEY", "hunter2"),
        ("EXPEDITER__SECRETS__JWT_KEY", ""),
        ("EXPEDITER__SECRETS", "{ jwt_key = \"hunter2\" }"),
    ] {
        for both in [[(name, value), in_file], [in_file, (name, value)]] {
            let refused = load(None, &both, &[]).unwrap_err();
            let expected = format!(
                "settings: secrets.jwt_key is set by environment variable {name} too: use one of the two (environment \
                 variable {JWT_KEY_FILE})"
            );
            assert_eq!(refused, expected);
        }
    }
    let twice = [in_file, ("EXPEDITER__secrets__JWT_KEY_file", in_file.1)];
    let refused = load(None, &twice, &[]).unwrap_err();
    assert!(refused.contains("use one of the two"), "{refused}");
}

#[test]
fn a_file_of_the_environment_wins_over_the_settings_file_and_loses_to_the_command_line() {
    let settings_file = File::new("[broker]\nnamespace = \"one\"\n");
    let content = File::new("two\n");
    let environment = [(NAMESPACE_FILE, content.0.to_str().unwrap())];
    let settings = load(Some(&settings_file), &environment, &[]).unwrap();
    assert_eq!(settings.broker.namespace, "two");
    let said = [("broker.namespace", "three")];
    let settings = load(Some(&settings_file), &environment, &said).unwrap();
    assert_eq!(settings.broker.namespace, "three");
}

#[test]
fn a_file_that_cannot_be_a_value_is_refused_by_its_variable_alone() {
    let large = "x".repeat(65_537);
    for (content, what) in [
        (&b""[..], "is in an empty file"),
        (b"\n", "is in an empty file"),
        (b"\r\n", "is in an empty file"),
        (large.as_bytes(), "is in a file of more than 65536 bytes"),
        (b"\xff\xfe", "is in a file that is not UTF-8 text"),
    ] {
        let file = File::new("");
        std::fs::write(&file.0, content).unwrap();
        let path = file.0.to_str().unwrap();
        let refused = load(None, &[(JWT_KEY_FILE, path)], &[]).unwrap_err();
        let expected =
            format!("settings: secrets.jwt_key {what} (environment variable {JWT_KEY_FILE})");
        assert_eq!(refused, expected);
    }
    // The secret itself under the wrong name, and other things that are no file with a value.
    for path in ["hunter2", "", "/", "/dev/zero"] {
        let refused = load(None, &[(JWT_KEY_FILE, path)], &[]).unwrap_err();
        assert!(
            refused.contains(JWT_KEY_FILE) && !refused.contains("hunter2"),
            "{refused}"
        );
    }
    let longest = "x".repeat(65_536);
    let wrong = load_file(JWT_KEY_FILE, &longest).unwrap_err();
    assert!(wrong.contains("32 bytes in base64"), "{wrong}");
}

#[test]
fn the_content_of_a_file_never_shows_whatever_is_wrong_with_it() {
    for key in leaves("", &Layers::new().known) {
        for content in [
            "hunter2",
            "hunter2\\n\"quoted",
            "[hunter2]",
            "{ hunter2 = \"hunter2\" }",
            "hunter2://me:hunter2@x",
            "9876598765",
            "-98765",
        ] {
            let Err(wrong) = load_file(&format!("{}_FILE", variable(&key)), content) else {
                continue;
            };
            assert!(
                !wrong.contains("hunter2") && !wrong.contains("98765"),
                "{wrong}"
            );
        }
    }
}

#[test]
fn an_unknown_name_of_a_file_is_refused_like_any_other() {
    let file = File::new("x");
    let refused = |name: &str| load(None, &[(name, file.0.to_str().unwrap())], &[]).unwrap_err();
    assert_eq!(
        refused("EXPEDITER__HTTP__COLOUR_FILE"),
        "settings: http.colour_file is an unknown key (environment variable EXPEDITER__HTTP__COLOUR_FILE)"
    );
    for (name, meant) in [
        (
            "EXPEDITER__SECRETS__JTW_KEY_FILE",
            "did you mean the environment variable EXPEDITER__SECRETS__JWT_KEY_FILE?",
        ),
        ("EXPEDITER__BROKR__CA_FILE", "did you mean broker.ca_file?"),
        ("EXPEDITER__SECRETS_FILE", "is an unknown key"),
        ("EXPEDITER___FILE", "is an unknown key"),
        ("EXPEDITER__SECRETS__JWT_KEY__FILE", "is an unknown key"),
    ] {
        assert!(refused(name).contains(meant), "{name}: {}", refused(name));
    }
    let elsewhere = load(None, &[], &[("secrets.jwt_key_file", "x")]).unwrap_err();
    assert_eq!(
        elsewhere,
        "settings: secrets.jwt_key_file is an unknown key; did you mean the environment variable \
         EXPEDITER__SECRETS__JWT_KEY_FILE? (command line)"
    );
}

#[test]
fn a_file_that_cannot_be_read_is_told_by_its_line_and_not_by_what_stands_there() {
    for text in [
        "[secrets]\njwt_key = hunter2\n",
        "[database]\nurl = \"mysql://me:hunter2@db/x\n",
        "[secrets]\njwt_key = \"hunter2\"\njwt_key = \"hunter2\"\n",
        "[secrets]\n\"hunter2\" \"jwt_key\"\n",
    ] {
        let folder = store::testing::environment::temporary_folder();
        let path = folder.join(format!(
            "{}.toml",
            platform::chance::Chance::system().session_code()
        ));
        std::fs::write(&path, text).unwrap();
        let error = Settings::from_layers(Some(&path), &[], &[])
            .unwrap_err()
            .to_string();
        std::fs::remove_file(&path).unwrap();
        assert!(!error.contains("hunter2"), "{error}");
        assert!(
            error.contains("line ") && error.contains(".toml"),
            "{error}"
        );
    }
}
