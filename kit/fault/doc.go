// Package fault injects faults into a service, for experiments: rules say which requests meet which
// fault, and a header of every injected answer names the fault.
//
// The grammar is the same in the environment, on the admin listener and at the command line:
// rules separated by ";", fields by ",".
//
//	delay=0s..5s,rate=0.5,path=/driver/;status=502,rate=0.3,method=GET
//
// A rule has one kind:
//
//	delay=D or delay=D..D  waits, drawn evenly from a range, then goes on
//	status=N               answers N with an empty body; retry-after=D adds Retry-After
//	reset                  closes the connection without an answer
//	hang                   answers nothing until the caller leaves
//	truncate or truncate=N cuts the answer's body after N bytes (0) and closes the connection
//	slow=N                 sends the answer's body at N bytes a second
//	crash                  ends the process
//
// and any of these fields, all of which have to match:
//
//	rate=R           share of the matching requests, from 0 to 1 (1)
//	method=M         the method; GET is HEAD, too, which is answered as one
//	path=P           what the escaped path begins with; one that ends without a slash is seen with it
//	header=Name:V    one of a header's values; header=Name: any value
//	after=D, for=D   a window that begins D after the rule is set and lasts D
//	every=D          the window comes again every D
//	count=N          fires at most N times
//
// A value has no "," and no ";": there is no way to quote them. A method, a path or a header that no
// request has is an error; a rate of 0 is not, it switches a rule off.
package fault
