-- What only menus show of a product, apart from its row, so that intake does not read it. A product without a row has
-- none of it.
CREATE TABLE product_details (
    product_id   BINARY(16)   NOT NULL PRIMARY KEY,
    image_url    VARCHAR(2000), -- of an image elsewhere
    image_id     BINARY(16), -- of an uploaded image
    allergens    VARCHAR(300) NOT NULL, -- words, separated by commas
    diets        VARCHAR(300) NOT NULL,
    translations JSON         NOT NULL -- by language
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
