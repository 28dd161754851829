-- Figures read the whole history of the sellers' registry, and then only what was loaded since.
create index seller_was_loaded_at on seller_was (loaded_at);
