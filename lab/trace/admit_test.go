package trace

import (
	"encoding/binary"
	"encoding/hex"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
)

// TestAdmission checks that a rate over the limit admits the limit, in whole traces, that a trace with an ID of
// NewID is always admitted, and that a low rate admits all again.
func TestAdmission(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a admission
		id := func(i int) []byte {
			return binary.BigEndian.AppendUint16(make([]byte, 14), uint16(i*40503)) // spread over all values
		}
		second := func(traces int) (admitted int) {
			for i := range traces {
				first := a.admit(id(i))
				for range 9 {
					if a.admit(id(i)) != first {
						t.Fatalf("trace %d is admitted in part", i)
					}
				}
				if first {
					admitted++
				}
				if chosen, _ := hex.DecodeString(NewID()); i%100 == 0 && !a.admit(chosen) {
					t.Error("a chosen trace is not admitted")
				}
			}
			time.Sleep(time.Second)
			return admitted
		}
		second(1000) // not measured yet
		if n := second(1000); n < 80 || n > 120 {
			t.Errorf("admitted %d traces of 10 spans, want about 100", n)
		}
		if n := second(50); n > 10 {
			t.Errorf("admitted %d traces of 50 by the rate before", n)
		}
		if n := second(50); n != 50 {
			t.Errorf("admitted %d traces of 50 at a low rate, want all", n)
		}
	})
}

// TestDecode checks that decode returns what proto.Unmarshal does, without the spans that are not admitted.
func TestDecode(t *testing.T) {
	first, second := made(1, 1, 0, "a", 0, 1, str("key", "value")), made(2, 2, 0, "b", 0, 1)
	body := encode(t, from("x", first, second), from("y", made(2, 3, 0, "c", 0, 1)))
	got, err := decode(body, func(id []byte) bool { return id[15] == 1 })
	if err != nil || len(got) != 2 {
		t.Fatal(got, err)
	}
	for i, want := range []*tracepb.ResourceSpans{from("x", first), from("y")} {
		if !proto.Equal(got[i], want) {
			t.Errorf("got %v, want %v", got[i], want)
		}
	}
	for _, bad := range [][]byte{{0x08, 0x01}, {0x0a, 0x05, 0x01}, {0x0a, 0x02, 0x12, 0x02}, {0xff}} {
		if got, err := decode(bad, func([]byte) bool { return true }); err == nil {
			t.Errorf("%x: got %v, want an error", bad, got)
		}
	}
}
