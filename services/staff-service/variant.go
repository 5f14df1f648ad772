package main

import (
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"fleetman.example/kit/apierror"
)

// variant is how the service behaves; each stands for a published image tag.
type variant string

const (
	standard    variant = "standard"
	placeholder variant = "placeholder" // every photo is placeholderPhoto
	bad         variant = "bad"         // slow, half of the answers a 502, and placeholder photos
	failFast    variant = "fail-fast"   // every GET at once an empty 502, every POST a 500
)

var knownVariants = []string{string(standard), string(placeholder), string(bad), string(failFast)}

const (
	placeholderPhoto = "placeholder.png"
	longestWait      = 5 * time.Second // of a bad answer, drawn evenly from 0
)

// misbehave is what a variant does before its handlers; nil for one that behaves.
func (v variant) misbehave(random *rand.Rand) gin.HandlerFunc {
	switch v {
	case bad:
		return badly(random)
	case failFast:
		return func(c *gin.Context) {
			if c.Request.Method == http.MethodGet {
				c.AbortWithStatus(http.StatusBadGateway)
				return
			}
			apierror.Write(c, apierror.New(http.StatusInternalServerError, "variant fail-fast"))
		}
	}
	return nil
}

// badly waits, then fails half of the time. The caller's leaving ends the wait.
func badly(random *rand.Rand) gin.HandlerFunc {
	var mu sync.Mutex // of random
	return func(c *gin.Context) {
		mu.Lock()
		wait, fail := time.Duration(random.Int64N(int64(longestWait))), random.IntN(2) == 0
		mu.Unlock()
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-c.Request.Context().Done():
			c.Abort()
			return
		}
		if fail {
			apierror.Write(c, apierror.New(http.StatusBadGateway, "variant bad"))
		}
	}
}
