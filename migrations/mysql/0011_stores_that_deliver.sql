CREATE INDEX stores_by_delivery ON stores (deliver_accepted_after_h, id); -- the sweep: stores whose accepted orders it delivers
