//! Uploaded images. A row never changes.

use crate::{
    error::Result,
    execute, read_optional,
    rows::{ReadRow, Row},
    tx::Tx,
};
use chrono::{DateTime, Utc};
use domain::ids::{ImageId, ProductId};

/// An image as it is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredImage {
    pub content_type: String,
    pub bytes: Vec<u8>,
}

pub async fn insert(
    tx: &mut Tx,
    id: ImageId,
    product: ProductId,
    image: &StoredImage,
    now: DateTime<Utc>,
) -> Result<()> {
    execute!(
        tx,
        "INSERT INTO images (id, product_id, content_type, bytes, created_at) VALUES (?, ?, ?, ?, ?)",
        id,
        product,
        &image.content_type,
        &image.bytes,
        now
    );
    Ok(())
}

pub async fn get(tx: &mut Tx, id: ImageId) -> Result<Option<StoredImage>> {
    Ok(read_optional!(
        tx,
        "SELECT id, content_type, bytes FROM images WHERE id = ?",
        id
    ))
}

pub async fn delete(tx: &mut Tx, id: ImageId) -> Result<()> {
    execute!(tx, "DELETE FROM images WHERE id = ?", id);
    Ok(())
}

impl ReadRow for StoredImage {
    const TABLE: &'static str = "images";

    fn read(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            content_type: row.get("content_type")?,
            bytes: row.get("bytes")?,
        })
    }
}
