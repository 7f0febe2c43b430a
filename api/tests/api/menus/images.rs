//! Uploaded images over HTTP: who may upload, and what is served.

use base64::{Engine, engine::general_purpose::STANDARD};

use super::*;

/// A WebP of six by four pixels.
const WEBP: &str =
    "UklGRjwAAABXRUJQVlA4IDAAAADQAQCdASoGAAQABUB8JagCdAEO/gPIAAD+zq/ST+TKdR/Q56Hvsutzzn8V2u4wAAA=";

fn picture() -> Vec<u8> {
    STANDARD.decode(WEBP).unwrap()
}

impl Pizzeria {
    async fn upload(&self, product: &Value, content_type: &str, file: Vec<u8>) -> Answer {
        let path = format!("{}/image", path(product));
        let asked = self
            .app
            .ask("PUT", &path)
            .header("content-type", content_type);
        asked.raw(file).by(&self.manager).send().await
    }
}

#[tokio::test]
async fn an_uploaded_image_is_served_to_anyone_as_an_image_and_cached_for_ever() {
    with_pizzeria(async |place| {
        let pizza = place.product("Pizza", json!({})).await;
        // Bytes after the end are dropped.
        let mut file = picture();
        file.extend_from_slice(b"<script>alert(1)</script>");
        let uploaded = place.upload(&pizza, "image/webp", file).await;
        let url = uploaded.ok()["image_url"].as_str().unwrap().to_owned();
        assert_eq!(uploaded.json()["version"], 2);
        assert_eq!(place.guests_menu().await["items"][0]["image_url"], url);

        let served = place.app.get(&url).send().await;
        assert_eq!(served.status, StatusCode::OK);
        assert_eq!(served.text, String::from_utf8_lossy(&picture()));
        for (name, value) in [
            ("content-type", "image/webp"),
            ("x-content-type-options", "nosniff"),
            ("cache-control", "public, max-age=31536000, immutable"),
        ] {
            assert_eq!(served.header(name), value);
        }
        assert!(
            served
                .header("content-security-policy")
                .contains("default-src 'none'")
        );
        let asked = place
            .app
            .get(&url)
            .header("if-none-match", served.header("etag"));
        assert_eq!(asked.send().await.status, StatusCode::NOT_MODIFIED);

        // The address may be sent back, and another image has another one.
        place.edit(&pizza, json!({"image_url": url})).await.ok();
        let other = place.upload(&pizza, "image/webp", picture()).await.ok();
        assert_ne!(other["image_url"], url);
        place.app.get(&url).send().await.problem(404, "not_found");

        let path = format!("{}/image", path(&pizza));
        for _ in 0..2 {
            let deleted = place
                .app
                .ask("DELETE", &path)
                .by(&place.manager)
                .send()
                .await;
            assert_eq!(deleted.ok()["image_url"], Value::Null);
        }
        place
            .app
            .get(other["image_url"].as_str().unwrap())
            .send()
            .await
            .problem(404, "not_found");
    })
    .await;
}

#[tokio::test]
async fn only_managers_upload_and_only_images_of_the_stated_type_and_size() {
    with_pizzeria(async |place| {
        let pizza = place.product("Pizza", json!({})).await;
        let svg = b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>".to_vec();
        for (content_type, file) in [
            ("image/svg+xml", svg.clone()),
            ("text/html", picture()),
            ("application/octet-stream", picture()),
            ("", picture()),
        ] {
            let refused = place.upload(&pizza, content_type, file).await;
            refused.problem(415, "unsupported_media_type");
        }
        for (content_type, file) in [
            ("image/png", svg),
            ("image/png", picture()),
            ("image/webp", Vec::new()),
            ("image/webp", picture()[..40].to_vec()),
        ] {
            assert_eq!(
                place.upload(&pizza, content_type, file).await.pointers(),
                [""]
            );
        }
        let mut large = picture();
        large.resize(domain::image::MAX_BYTES + 1, 0);
        let refused = place.upload(&pizza, "image/webp", large.clone()).await;
        refused.problem(413, "payload_too_large");
        large.pop();
        place.upload(&pizza, "IMAGE/WebP", large).await.ok();

        let path = format!("{}/image", path(&pizza));
        for method in ["PUT", "DELETE"] {
            let asked = place
                .app
                .ask(method, &path)
                .header("content-type", "image/webp");
            let refused = asked.raw(picture()).by(&place.staff).send().await;
            refused.problem(403, "forbidden");
            let asked = place
                .app
                .ask(method, &path)
                .header("content-type", "image/webp");
            let stale = asked
                .raw(picture())
                .by(&place.manager)
                .header("if-match", "\"1\"");
            stale.send().await.problem(412, "version_conflict");
        }
    })
    .await;
}
