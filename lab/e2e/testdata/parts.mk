a:
	@echo one
b:
	@echo '--- FAIL: TestX (1.00s)'; echo noise; false
c:
	@echo last; exit 2
d:
	@echo two
here there:
	@touch $@; until [ -e here ] && [ -e there ]; do sleep 0.01; done
dies:
	@kill -KILL 0 # the whole lane
long:
	@sleep 100 & trap 'kill $$!; echo interrupted; exit 3' INT; touch begun; wait
