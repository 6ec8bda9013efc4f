package simulator

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"busbar/ocpi"
)

// Loaded is what was read of real Locations.
type Loaded struct {
	Locations []Location
	// Skipped counts what could not be used, by reason; Faults says where, for
	// the first of them.
	Skipped map[string]int
	Faults  []Fault
}

// Fault is one Location that was skipped.
type Fault struct {
	// Line is where it starts in the file, unpacked, from 1.
	Line int
	// ID is the Location's id, when it has one.
	ID     string
	Reason string
}

func (f Fault) String() string {
	if f.ID == "" {
		return fmt.Sprintf("line %d: %s", f.Line, f.Reason)
	}
	return fmt.Sprintf("line %d: Location %s: %s", f.Line, f.ID, f.Reason)
}

const (
	mostFaults   = 50
	mostUnpacked = 4 << 30
)

// LoadLocations reads a file as ReadLocations does.
func LoadLocations(file string, fallback ocpi.PartyKey) (Loaded, error) {
	f, err := os.Open(file)
	if err != nil {
		return Loaded{}, fmt.Errorf("load Locations: %w", err)
	}
	defer f.Close()
	loaded, err := ReadLocations(f, fallback)
	if err != nil {
		return Loaded{}, fmt.Errorf("load Locations: %s: %w", file, err)
	}
	return loaded, nil
}

// ReadLocations reads real Locations: a JSON array, JSON lines, or an OCPI
// answer with the list in data (or items), plain or packed with gzip. Documents
// stay as they are; only an owner that is missing is added: from the first
// evse_id that has one, else fallback. What has no id or no owner, or stands
// twice, is skipped and counted. The error is for a file that is none of these
// or is cut off, and names the line.
func ReadLocations(r io.Reader, fallback ocpi.PartyKey) (Loaded, error) {
	content, err := unpack(r)
	if err != nil {
		return Loaded{}, err
	}
	l := loader{
		fallback: fallback, seen: map[string]bool{}, Loaded: Loaded{Skipped: map[string]int{}},
	}
	content = bytes.TrimPrefix(content, []byte("\xef\xbb\xbf")) // byte order mark
	switch start := bytes.TrimLeft(content, " \t\r\n"); {
	case len(start) == 0:
		return Loaded{}, errors.New("it is empty")
	case start[0] == '{' && isLines(start):
		l.lines(content)
	default:
		err = l.document(content, 1)
	}
	if err != nil {
		return Loaded{}, err
	}
	return l.Loaded, nil
}

// unpack goes by the gzip magic number (RFC 1952), not by a name.
func unpack(r io.Reader) ([]byte, error) {
	buffered := bufio.NewReader(r)
	var from io.Reader = buffered
	if magic, _ := buffered.Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		unpacked, err := gzip.NewReader(buffered)
		if err != nil {
			return nil, fmt.Errorf("gzip: %w", err)
		}
		defer unpacked.Close()
		from = unpacked
	}
	content, err := io.ReadAll(io.LimitReader(from, mostUnpacked))
	if err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	return content, nil
}

// isLines tells JSON lines from one document: the first line is a whole object
// and more follows.
func isLines(content []byte) bool {
	line, rest, _ := bytes.Cut(content, []byte("\n"))
	return len(bytes.TrimSpace(rest)) > 0 && json.Valid(line)
}

// loader collects Locations.
type loader struct {
	Loaded
	fallback ocpi.PartyKey
	seen     map[string]bool
}

func (l *loader) skip(line int, id, reason string) {
	l.Skipped[reason]++
	if len(l.Faults) < mostFaults {
		l.Faults = append(l.Faults, Fault{line, id, reason})
	}
}

// lines reads JSON lines: a broken line costs only itself.
func (l *loader) lines(content []byte) {
	number := 0
	for line := range bytes.Lines(content) {
		number++
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		if err := l.document(line, number); err != nil {
			l.skip(number, "", "not JSON")
		}
	}
}

// document reads an array, an envelope, or one Location. line is where content
// starts in the file.
func (l *loader) document(content []byte, line int) error {
	if start := bytes.TrimLeft(content, " \t\r\n"); start[0] == '[' {
		return l.list(content, line)
	}
	o, err := readObject(content)
	if err != nil {
		return syntaxFault(content, line, err)
	}
	list := listIn(o)
	if list == nil {
		l.add(content, line)
		return nil
	}
	before, _, _ := bytes.Cut(content, list)
	return l.document(list, line+bytes.Count(before, []byte("\n")))
}

func (l *loader) list(content []byte, line int) error {
	dec := json.NewDecoder(bytes.NewReader(content))
	if err := opening(dec, '['); err != nil {
		return syntaxFault(content, line, err)
	}
	counted, at := 0, line
	for dec.More() {
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return syntaxFault(content, line, err)
		}
		start := int(dec.InputOffset()) - len(raw)
		at += bytes.Count(content[counted:start], []byte("\n"))
		counted = start
		l.add(raw, at)
	}
	if _, err := dec.Token(); err != nil {
		return syntaxFault(content, line, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("line %d: data after the list", line+bytes.Count(content, []byte("\n")))
	}
	return nil
}
