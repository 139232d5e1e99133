"""Test vectors for sleep stagers in any language; README.md has their form."""
