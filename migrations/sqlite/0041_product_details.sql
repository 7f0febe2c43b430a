-- What only menus show of a product, apart from its row, so that intake does not read it. A product without a row has
-- none of it.
CREATE TABLE product_details (
    product_id   BLOB NOT NULL PRIMARY KEY,
    image_url    TEXT, -- of an image elsewhere
    image_id     BLOB, -- of an uploaded image
    allergens    TEXT NOT NULL, -- words, separated by commas
    diets        TEXT NOT NULL,
    translations TEXT NOT NULL -- by language
) STRICT;
