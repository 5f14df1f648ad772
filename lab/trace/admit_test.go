package trace

import (
	"encoding/binary"
	"encoding/hex"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
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
					require.Equal(t, first, a.admit(id(i)), "trace %d, admitted whole or not at all", i)
				}
				if first {
					admitted++
				}
				if chosen, _ := hex.DecodeString(NewID()); i%100 == 0 {
					assert.True(t, a.admit(chosen), "a chosen trace")
				}
			}
			time.Sleep(time.Second)
			return admitted
		}
		second(1000) // not measured yet
		assert.InDelta(t, 100, second(1000), 20, "traces of 10 spans")
		assert.LessOrEqual(t, second(50), 10, "traces of 50 by the rate before")
		assert.Equal(t, 50, second(50), "traces of 50 at a low rate")
	})
}

// TestDecode checks that decode returns what proto.Unmarshal does, without the spans that are not admitted.
func TestDecode(t *testing.T) {
	first, second := made(1, 1, 0, "a", 0, 1, str("key", "value")), made(2, 2, 0, "b", 0, 1)
	body := encode(t, from("x", first, second), from("y", made(2, 3, 0, "c", 0, 1)))
	got, err := decode(body, func(id []byte) bool { return id[15] == 1 })
	require.NoError(t, err)
	require.Len(t, got, 2)
	for i, want := range []*tracepb.ResourceSpans{from("x", first), from("y")} {
		assert.True(t, proto.Equal(got[i], want), "got %v, want %v", got[i], want)
	}
	for _, bad := range [][]byte{{0x08, 0x01}, {0x0a, 0x05, 0x01}, {0x0a, 0x02, 0x12, 0x02}, {0xff}} {
		_, err := decode(bad, func([]byte) bool { return true })
		assert.Error(t, err, "%x", bad)
	}
}
