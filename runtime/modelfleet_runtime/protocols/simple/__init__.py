"""The plain one: `POST /predict` for one item, `POST /predict/batch` for a list of them."""
