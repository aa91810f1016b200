"""What a user can type after `captioning`: one file a command, each parses, builds and runs."""
