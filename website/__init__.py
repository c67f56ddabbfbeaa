"""How the documentation is made from docs/ and from the code: see mkdocs.yml."""
