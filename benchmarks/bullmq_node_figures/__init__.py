"""The same of BullMQ on Node. What runs there is JavaScript; `main.cjs` is where it begins."""
