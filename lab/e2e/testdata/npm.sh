#!/bin/sh
echo "npm $1" >>"$CALLS"
[ "$1" = ci ] || exit 1
rm -rf node_modules
[ -n "$NPM_WORKS" ] || exit 1
mkdir node_modules
cp package-lock.json node_modules/.package-lock.json
