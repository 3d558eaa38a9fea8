"""`python -m roundtrip.commands`, what `./roundtrip` hands over to."""

from roundtrip.commands.app import main

main()
