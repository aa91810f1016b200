"""The subcommands of `captioning`: one file each, which parses, builds and runs."""
