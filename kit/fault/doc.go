// Package fault injects faults into a service, for experiments. Rules define which requests meet which
// fault; a header of every injected answer names the fault.
//
// The grammar is the same in the environment, on the admin listener and at the command line:
// rules separated by ";", fields by ",".
//
//	delay=0s..5s,rate=0.5,path=/driver/;status=502,rate=0.3,method=GET
//
// A rule has one kind:
//
//	delay=D or delay=D..D  waits for D, or for a time chosen uniformly from the range, then goes on
//	status=N               answers N with an empty body; retry-after=D adds Retry-After
//	reset                  closes the connection with an RST, without an answer
//	hang                   sends nothing until the caller closes the connection
//	truncate or truncate=N cuts the answer's body after N bytes and closes the connection; default 0
//	slow=N                 sends the answer's body at N bytes per second
//	capacity=N             starts N requests per second, queue=M of which wait, and answers 503 to the rest
//	idle=D                 closes the connection, unannounced, when it has been idle for D after the answer
//	crash                  exits with code 1
//
// and any of these fields. A request meets the rule if all of them match:
//
//	rate=R           the rule fires for this share of the matching requests, from 0 to 1; default 1
//	rate=R..R        the share changes from the first to the second, linearly, from the window's opening
//	over=D           the time in which the share changes; default: that of for
//	method=M         the request's method; GET matches HEAD too
//	path=P           a prefix of the escaped path, which is compared with a final slash
//	header=Name:V    a header with the value V; header=Name: with any value
//	after=D, for=D   a window that opens D after the rule is set and lasts D
//	every=D          the window opens again every D
//	count=N          the rule fires at most N times
//
// Capacity is that of a server with one queue. A request that finds no other starts at once; while requests
// wait, one starts every 1/N seconds. If M requests wait (default: as many as start in one second), the next
// one is refused at once. A request that waits is one of the M, and takes its turn, also after its caller has
// left: work for nobody counts as much as any other. Requests that start at once meet no fault.
//
// A value cannot contain "," or ";", which cannot be quoted. A method, path or header that no request
// can have is an error. A rate of 0 is valid: it switches a rule off.
package fault
