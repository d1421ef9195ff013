"""Language models and tokenizers: found, loaded, and their layers left out."""
