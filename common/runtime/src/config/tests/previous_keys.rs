//! Tests of the keys beside the first ones, for a rotation.

use super::*;

#[test]
fn previous_keys_are_keys_and_not_many() {
    let key = format!("{}E=", "b".repeat(42));
    for setting in [
        "secrets.previous_jwt_keys",
        "secrets.previous_encryption_keys",
    ] {
        let list = |count: usize| format!("[{}]", vec![key.as_str(); count].join(", "));
        for right in ["", "[]", &key, &list(8)] {
            let settings = Settings::with(&[(setting, right)]).unwrap();
            assert!(!format!("{settings:?}").contains("bbbb"), "{right}");
        }
        let short = "hunter2hunter2";
        for (wrong, what) in [
            (list(9), "has 9 keys, and may have 8"),
            (format!("[{key}, {short}]"), "each 32 bytes in base64"),
            (short.to_owned(), "each 32 bytes in base64"),
            ("[\"\"]".to_owned(), "each 32 bytes in base64"),
            ("[12345678]".to_owned(), "must be a list of secrets"),
            ("12345678".to_owned(), "must be a list of secrets"),
        ] {
            let refused = refused(&[(setting, &wrong)]);
            assert!(
                refused.contains(setting) && refused.contains(what),
                "{refused}"
            );
            let shows = ["hunter2", "1234", "bbbb"].map(|part| refused.contains(part));
            assert_eq!(shows, [false; 3], "{refused}");
        }
    }
}
