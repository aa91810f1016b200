"""The shapes world: small pictures of coloured shapes whose captions follow an exact law."""
