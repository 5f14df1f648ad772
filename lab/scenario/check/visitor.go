package check

import (
	"net/http"
	"net/http/cookiejar"
	"sync"
)

// visitor sends one request at a time and keeps the cookies of the responses. A nil visitor keeps none.
type visitor struct {
	sync.Mutex
	jar *cookiejar.Jar
}

func newVisitors(n int) []*visitor {
	visitors := make([]*visitor, n)
	for i := range visitors {
		jar, _ := cookiejar.New(nil) // never an error
		visitors[i] = &visitor{jar: jar}
	}
	return visitors
}

// addCookies adds the visitor's cookies to a request.
func (v *visitor) addCookies(request *http.Request) {
	if v == nil {
		return
	}
	for _, cookie := range v.jar.Cookies(request.URL) {
		request.AddCookie(cookie)
	}
}

// keepCookies keeps the cookies that a response sets.
func (v *visitor) keepCookies(response *http.Response) {
	if v != nil {
		v.jar.SetCookies(response.Request.URL, response.Cookies())
	}
}
