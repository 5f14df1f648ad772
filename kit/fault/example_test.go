package fault_test

import (
	"fmt"
	"log"
	"net/http"
	"time"

	"fleetman.example/kit/fault"
)

func ExampleParse() {
	rules, err := fault.Parse("delay=0s..5s,rate=0.5,path=/driver/;status=502,method=GET")
	if err != nil {
		log.Fatal(err)
	}
	for _, rule := range rules {
		fmt.Println(rule.Kind, rule)
	}
	// Output:
	// delay delay=0s..5s,rate=0.5,path=/driver/
	// status status=502,method=GET
}

func ExampleSet() {
	rules, err := fault.Parse("status=502,path=/driver/,count=2")
	if err != nil {
		log.Fatal(err)
	}
	set := fault.NewSet(1, rules, time.Now)
	for _, path := range []string{"/driver/a", "/photos/1.jpg", "/driver/b", "/driver/c"} {
		request, err := http.NewRequest(http.MethodGet, path, nil)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(path, len(set.Decide(request)))
	}
	// Output:
	// /driver/a 1
	// /photos/1.jpg 0
	// /driver/b 1
	// /driver/c 0
}
