"""How fast the whole way is: paired with the usual pipeline, stage by stage, beside the floor."""
