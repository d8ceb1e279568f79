"""End-to-end benchmark: paired with the usual pipeline, per stage, against the roofline."""
