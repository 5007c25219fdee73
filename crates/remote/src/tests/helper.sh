#!/bin/sh
# Runs the script beside the link that this is called by. A program that a test writes itself can be
# busy: a process that another thread starts meanwhile has it open for writing.
exec /bin/sh "${0%/*}/script" "$@"
