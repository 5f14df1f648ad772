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
//	crash                  exits with code 1
//
// and any of these fields. A request meets the rule if all of them match:
//
//	rate=R           the rule fires for this share of the matching requests, from 0 to 1; default 1
//	method=M         the request's method; GET matches HEAD too
//	path=P           a prefix of the escaped path, which is compared with a final slash
//	header=Name:V    a header with the value V; header=Name: with any value
//	after=D, for=D   a window that opens D after the rule is set and lasts D
//	every=D          the window opens again every D
//	count=N          the rule fires at most N times
//
// A value cannot contain "," or ";", which cannot be quoted. A method, path or header that no request
// can have is an error. A rate of 0 is valid: it switches a rule off.
package fault
