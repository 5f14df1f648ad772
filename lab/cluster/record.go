package cluster

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// record is what the parent Secret keeps of the last Up or Apply, so that the next Apply keeps the flags of Up
// and can restore the objects.
type record struct {
	Change  Change                       `json:"change"`
	Images  string                       `json:"images,omitempty"`
	Objects []*unstructured.Unstructured `json:"objects"`
}

// recordKey is the record's key in the parent Secret.
const recordKey = "applied"

// maxRecord bounds a record that is read, in bytes. A Secret has at most 1 MiB, compressed.
const maxRecord = 64 << 20

// pack returns a record for the Secret.
func (c *Client) pack(change Change, all []*unstructured.Unstructured) []byte {
	var text bytes.Buffer
	packer := gzip.NewWriter(&text)
	_ = json.NewEncoder(packer).Encode(record{change, c.images, all}) // fields of JSON, into memory
	_ = packer.Close()
	return text.Bytes()
}

// unpack returns the record of the parent.
func (c *Client) unpack(parent *corev1.Secret) (r record, err error) {
	packed := parent.Data[recordKey]
	if len(packed) == 0 {
		return r, c.fail(nil, "Secret %s/%s: has no record of the objects: must be that of a complete fleetman up", c.namespace, adminSecret)
	}
	unpacker, err := gzip.NewReader(bytes.NewReader(packed))
	if err == nil {
		var text []byte
		if text, err = io.ReadAll(io.LimitReader(unpacker, maxRecord)); err == nil {
			err = json.Unmarshal(text, &r)
		}
	}
	if err != nil {
		return r, c.fail(err, "Secret %s/%s: %s: %s: must be that of fleetman up", c.namespace, adminSecret, recordKey, oneLine(err))
	}
	return r, nil
}
