"""What a dataset is, which of its rows hold a condition, where a row came from, how two datasets differ."""
