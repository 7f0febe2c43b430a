//! Lists of sessions, and of the orders in one.

use super::*;

#[tokio::test]
async fn the_list_is_of_one_store_and_state_and_paged_newest_first() {
    with_app(async |app: App| {
        let (store, staff, path) = a_table(&app).await;
        for name in ["Table 2", "Table 3"] {
            opened(&app, &staff, store, name).await.ok();
        }
        let names = |page: &Value| {
            let items = page["items"].as_array().unwrap().iter();
            items
                .map(|session| session["name"].as_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        let list = format!("{SESSIONS}?store_id={store}&limit=2");
        let first = app.get(&list).by(&staff).send().await.ok();
        assert_eq!(names(&first), ["Table 3", "Table 2"]);
        let next = format!("{list}&cursor={}", first["next_cursor"].as_str().unwrap());
        let second = app.get(&next).by(&staff).send().await.ok();
        assert_eq!(
            (names(&second), &second["next_cursor"]),
            (vec!["Table 1".to_owned()], &Value::Null)
        );

        app.ask("POST", &format!("{path}/close"))
            .by(&staff)
            .send()
            .await
            .ok();
        let closed = app
            .get(&format!("{list}&state=CLOSED"))
            .by(&staff)
            .send()
            .await
            .ok();
        assert_eq!(names(&closed), ["Table 1"]);
    })
    .await;
}

#[tokio::test]
async fn a_sessions_orders_are_listed_page_by_page_and_say_whose_they_are() {
    with_app(async |app: App| {
        let (store, _, path) = a_table(&app).await;
        let product = app.house.create_product(store).await;
        let orders = format!("{path}/orders");
        for guest in [GUEST, "another guest's own key", GUEST] {
            let order = app.post(&orders, json!({"product_id": product}));
            order.header("expediter-guest", guest).send().await.ok();
        }
        let page = async |query: &str| {
            let page = app.get(&format!("{orders}?limit=2{query}"));
            page.header("expediter-guest", GUEST).send().await.ok()
        };
        let first = page("").await;
        let mine = |page: &Value| -> Vec<(i64, bool)> {
            let items = page["items"].as_array().unwrap().iter();
            items
                .map(|one| {
                    let number = one["number"].as_i64().unwrap();
                    (number, one["mine"].as_bool().unwrap())
                })
                .collect()
        };
        assert_eq!(mine(&first), [(3, true), (2, false)]);
        let cursor = first["next_cursor"].as_str().unwrap();
        let second = page(&format!("&cursor={cursor}")).await;
        assert_eq!(mine(&second), [(1, true)]);
        assert_eq!(second["next_cursor"], Value::Null);
        let read = app.get(&path).send().await.ok();
        assert_eq!(read["next_cursor"], Value::Null);
    })
    .await;
}

#[tokio::test]
async fn without_a_store_the_sessions_of_all_stores_that_the_caller_serves_are_listed() {
    with_app(async |app: App| {
        let (here, there) = (
            app.house.create_store().await,
            app.house.create_store().await,
        );
        let foreign = app.house.create_store().await;
        let operator = app.signed_in("op", Role::Operator, &[]).await;
        let staff = app.signed_in("sam", Role::Staff, &[here, there]).await;
        for (store, name) in [
            (here, "1"),
            (foreign, "2"),
            (there, "3"),
            (here, "4"),
            (there, "5"),
        ] {
            opened(&app, &operator, store, name).await.ok();
        }
        let names = async |by: &str, query: &str| {
            let (mut names, mut cursor) = (Vec::new(), String::new());
            loop {
                let path = format!("{SESSIONS}?limit=2{query}{cursor}");
                let page = app.get(&path).by(by).send().await.ok();
                let items = page["items"].as_array().unwrap();
                assert!(items.len() <= 2);
                let named = items
                    .iter()
                    .map(|one| one["name"].as_str().unwrap().to_owned());
                names.extend(named);
                match page["next_cursor"].as_str() {
                    Some(next) => cursor = format!("&cursor={next}"),
                    None => return names.join(""),
                }
            }
        };
        assert_eq!(names(&staff, "").await, "5431");
        assert_eq!(names(&operator, "").await, "54321");
        assert_eq!(names(&operator, &format!("&store_id={there}")).await, "53");
        assert_eq!(names(&staff, "&state=CLOSED").await, "");
        let of_foreign = format!("{SESSIONS}?store_id={foreign}");
        app.get(&of_foreign)
            .by(&staff)
            .send()
            .await
            .problem(404, "not_found");
        let customer = app.signed_in("anna", Role::Customer, &[]).await;
        app.get(SESSIONS)
            .by(&customer)
            .send()
            .await
            .problem(403, "forbidden");
    })
    .await;
}
