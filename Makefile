# Aliases; exit codes are `./roundtrip`'s own only when it is called itself.
.PHONY: release test up down
release test up down:
	./roundtrip $@
