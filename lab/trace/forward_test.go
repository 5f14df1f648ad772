package trace

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"fleetman.example/lab/process"
	"fleetman.example/lab/wants"
)

// collector is a client whose uploads take until a value is received from go on.
type collector struct {
	goOn    chan error
	uploads []int // spans
}

func (c *collector) Start(context.Context) error { return nil }
func (c *collector) Stop(context.Context) error  { return nil }
func (c *collector) UploadTraces(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	select {
	case err := <-c.goOn:
		c.uploads = append(c.uploads, count(spans))
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func one() []*tracepb.ResourceSpans {
	return []*tracepb.ResourceSpans{from("x", made(1, 1, 0, "x", 0, 1))}
}

// TestForwarder checks that a slow collector does not block, that nothing is lost within the queue, and that
// every other loss is reported.
func TestForwarder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &collector{goOn: make(chan error)}
		var lines []string
		f, err := newForwarder(c, func(line string) { lines = append(lines, line) })
		require.NoError(t, err)
		f.Send(one()) // being uploaded
		synctest.Wait()
		for range maxQueued + 7 {
			f.Send(one())
		}
		c.goOn <- nil
		synctest.Wait()
		assert.Equal(t, []string{"7 spans not forwarded: the collector is too slow"}, lines)
		c.goOn <- errors.New("status 500")
		synctest.Wait()
		assert.Len(t, lines, 1, "at most one in ten seconds")
		time.Sleep(reportEvery)
		c.goOn <- nil
		synctest.Wait()
		assert.Equal(t, []string{"33 spans not forwarded: status 500"}, lines[1:])
		go func() {
			for {
				select {
				case c.goOn <- nil:
				case <-f.done:
					return
				}
			}
		}()
		f.Close(t.Context())
		sum := 0
		for _, n := range c.uploads {
			sum += n
		}
		assert.Equal(t, 1+maxQueued, sum, "spans sent as %v", c.uploads)
	})
}

// TestForwarderEnds checks that Close ends with its context when the collector hangs, and reports the loss.
func TestForwarderEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lines []string
		f, err := newForwarder(&collector{}, func(line string) { lines = append(lines, line) })
		require.NoError(t, err)
		f.Send(one())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		f.Close(ctx)
		assert.Equal(t, []string{"1 spans not forwarded: context canceled"}, lines)
	})
}

func TestChoose(t *testing.T) {
	for _, tc := range []struct {
		environ []string
		want    Choice
		err     string
	}{
		{nil, Choice{}, ""},
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4318"}, Choice{Forward: true}, ""},
		{[]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=https://c/x", "OTEL_EXPORTER_OTLP_PROTOCOL=grpc"}, Choice{Forward: true, protocol: "grpc"}, ""},
		{[]string{"OTEL_TRACES_EXPORTER=otlp"}, Choice{Forward: true}, ""},
		{[]string{"OTEL_TRACES_EXPORTER=none", "OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4318"}, Choice{Off: "OTEL_TRACES_EXPORTER is none"}, ""},
		{[]string{"OTEL_TRACES_EXPORTER=console"}, Choice{Off: "OTEL_TRACES_EXPORTER is console"}, ""},
		{[]string{"OTEL_SDK_DISABLED=TRUE"}, Choice{Off: "OTEL_SDK_DISABLED is true"}, ""},
		{[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=user:secret@c"}, Choice{}, "OTEL_EXPORTER_OTLP_ENDPOINT: must be an address such as http://host:4318"},
		{[]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=ftp://c", "OTEL_EXPORTER_OTLP_ENDPOINT=http://c"}, Choice{}, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: must be an address such as http://host:4318"},
		{[]string{"OTEL_EXPORTER_OTLP_PROTOCOL=http/json"}, Choice{}, `OTEL_EXPORTER_OTLP_PROTOCOL: "http/json": must be http/protobuf or grpc`},
	} {
		got, err := Choose(process.Getenv(tc.environ))
		wants.Error(t, fmt.Sprint(tc.environ), err, tc.err)
		if tc.err == "" {
			assert.Equal(t, tc.want, got, "%v", tc.environ)
		}
	}
}

func TestEnviron(t *testing.T) {
	got := Environ([]string{
		"PATH=/bin", "OTEL_EXPORTER_OTLP_ENDPOINT=https://c", "OTEL_EXPORTER_OTLP_TRACES_HEADERS=token=secret", "OTEL_TRACES_SAMPLER=traceidratio",
	}, "http://127.0.0.1:99")
	want := []string{
		"OTEL_BSP_SCHEDULE_DELAY=1000", "OTEL_EXPORTER_OTLP_ENDPOINT=https://c", "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION=none",
		"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://127.0.0.1:99/v1/traces", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/protobuf",
		"OTEL_TRACES_SAMPLER=traceidratio", "PATH=/bin",
	}
	assert.Equal(t, want, got)
	assert.Contains(t, Environ([]string{"OTEL_BSP_SCHEDULE_DELAY=50"}, "http://x"), "OTEL_BSP_SCHEDULE_DELAY=50", "the user's delay")
}

// TestForwarded checks that the user's collector gets all spans, with the user's headers.
func TestForwarded(t *testing.T) {
	got := make(chan string, 1)
	theirs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var export collectorpb.ExportTraceServiceRequest
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = proto.Unmarshal(body, &export)
		}
		assert.NoError(t, err)
		got <- fmt.Sprint(r.URL.Path, " ", r.Header.Get("Token"), " ", count(export.GetResourceSpans()))
		w.Header().Set("Content-Type", contentType)
	}))
	t.Cleanup(theirs.Close)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", theirs.URL+"/theirs")
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "token=secret")
	choice, err := Choose(os.Getenv)
	require.NoError(t, err)
	f, err := choice.Forwarder(func(line string) { t.Error(line) })
	require.NoError(t, err)
	store := NewStore()
	rc := NewReceiver(store, f)
	rc.admitted.share, rc.admitted.began = 1, time.Now().Add(time.Hour) // admits no trace of this test
	w := post(rc, encode(t, from("x", made(1, 1, 0, "a", 0, 1), made(2, 2, 0, "b", 0, 1))))
	require.Equal(t, http.StatusOK, w.Code, w.Body)
	assert.Equal(t, "/theirs/v1/traces secret 2", <-got, "at the collector")
	assert.Empty(t, store.Recent(Filter{}))
	f.Close(t.Context())
}
