package simulator

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// object is a JSON object whose members keep their order and their bytes, so
// that a document can be edited without losing what the simulator does not
// know.
type object []member

type member struct {
	name  string
	value json.RawMessage
}

// readObject reads one JSON object and nothing after it.
func readObject(doc []byte) (object, error) {
	dec := json.NewDecoder(bytes.NewReader(doc))
	if err := opening(dec, '{'); err != nil {
		return nil, err
	}
	var o object
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, err
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, err
		}
		o = append(o, member{name.(string), value})
	}
	if _, err := dec.Token(); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("data after the object")
	}
	return o, nil
}

func opening(dec *json.Decoder, want json.Delim) error {
	token, err := dec.Token()
	if err != nil {
		return err
	}
	if token != want {
		return fmt.Errorf("found %v where %q was expected", token, want.String())
	}
	return nil
}

// get returns a member; the last one counts, as in encoding/json. An explicit
// null is as good as absent.
func (o object) get(name string) json.RawMessage {
	for _, member := range slices.Backward(o) {
		if member.name == name {
			if string(member.value) == "null" {
				return nil
			}
			return member.value
		}
	}
	return nil
}

// text returns a member as a string: numbers as their digits, everything else
// that is no string as "".
func (o object) text(name string) string {
	var t text
	if err := t.UnmarshalJSON(o.get(name)); err != nil {
		return ""
	}
	return string(t)
}

// set replaces a member where it stands, or appends it.
func (o *object) set(name string, value json.RawMessage) {
	for i := len(*o) - 1; i >= 0; i-- {
		if (*o)[i].name == name {
			(*o)[i].value = value
			return
		}
	}
	*o = append(*o, member{name, value})
}

// setText is set with a string value.
func (o *object) setText(name, value string) { o.set(name, encode(value)) }

// bytes writes the object.
func (o object) bytes() json.RawMessage {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(encode(m.name))
		b.WriteByte(':')
		b.Write(m.value)
	}
	b.WriteByte('}')
	return b.Bytes()
}

// encode writes v as JSON without escaping HTML. It is only given the
// simulator's own types, which always encode.
func encode(v any) json.RawMessage {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic("simulator: encode: " + err.Error())
	}
	return bytes.TrimRight(b.Bytes(), "\n")
}

// text is a string of a peer: numbers are taken for their digits, null for "",
// surrounding spaces are dropped. Real Locations have all of these.
type text string

func (t *text) UnmarshalJSON(b []byte) error {
	b = bytes.TrimSpace(b)
	switch {
	case len(b) == 0 || string(b) == "null":
		*t = ""
	case b[0] == '"':
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		*t = text(strings.TrimSpace(s))
	case b[0] == '-' || '0' <= b[0] && b[0] <= '9':
		*t = text(b)
	default:
		*t = ""
	}
	return nil
}

// number is a JSON number that may come as a string; anything else is 0.
type number float64

func (n *number) UnmarshalJSON(b []byte) error {
	var t text
	if err := t.UnmarshalJSON(b); err != nil {
		return err
	}
	f, err := strconv.ParseFloat(string(t), 64)
	if err != nil {
		f = 0
	}
	*n = number(f)
	return nil
}

// texts is a list of strings; anything else is empty.
type texts []text

func (l *texts) UnmarshalJSON(b []byte) error {
	*l = nil
	var items []text
	if json.Unmarshal(b, &items) == nil {
		*l = items
	}
	return nil
}
