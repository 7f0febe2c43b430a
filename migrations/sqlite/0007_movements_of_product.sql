CREATE INDEX movements_of_product ON stock_movements (product_id, id);
