package gateway

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"strings"
	"testing"

	"busbar/ocpi"
	"busbar/routing"
)

// inPieces is a long answer of three pieces, and all of it.
func inPieces() (b *bigBody, whole string) {
	middle := strings.Repeat("middle ", 20_000)
	reply := routing.Reply{Response: ocpi.Response{Body: []byte("begin ")}, Rest: [][]byte{[]byte(middle), []byte("end")}}
	return &bigBody{reply: reply}, "begin " + middle + "end"
}

func TestBigBody_GoesBehindTheHeader(t *testing.T) {
	t.Parallel()
	for _, plain := range []bool{true, false} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		received := make(chan string, 1)
		go func() {
			c, err := l.Accept()
			if err != nil {
				received <- err.Error()
				return
			}
			defer c.Close()
			all, _ := io.ReadAll(c)
			received <- string(all)
		}()
		tcp, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		want := ""
		c := &conn{Conn: tcp, open: &openConns{open: map[*conn]struct{}{}}}
		buffer := bufio.NewWriterSize(c, 4096)
		for _, header := range []string{"header ", "", strings.Repeat("long header ", 500), "header "} {
			b, whole := inPieces()
			if plain {
				b.conn = c
			}
			if _, err := buffer.WriteString(header); err != nil {
				t.Fatal(err)
			}
			if n, err := b.WriteTo(buffer); err != nil || n != int64(len(whole)) {
				t.Errorf("%d bytes written of %d, %v", n, len(whole), err)
			}
			if again, _ := inPieces(); !bytes.Equal(b.reply.Rest[0], again.reply.Rest[0]) {
				t.Error("a piece that is shared was changed")
			}
			want += header + whole
		}
		if err := buffer.Flush(); err != nil {
			t.Fatal(err)
		}
		c.Close()
		if got := <-received; got != want {
			t.Errorf("plain %v: %d bytes arrived, other than the %d that were written", plain, len(got), len(want))
		}
		l.Close()
	}
}

func TestBigBody_ReadIsTheSame(t *testing.T) {
	t.Parallel()
	b, whole := inPieces()
	got, err := io.ReadAll(struct{ io.Reader }{b})
	if err != nil || string(got) != whole || b.reply.Len() != len(whole) {
		t.Errorf("%d bytes of %d, %v", len(got), len(whole), err)
	}
}

func TestBigBody_ABrokenConnectionIsAnError(t *testing.T) {
	t.Parallel()
	ours, theirs := net.Pipe()
	theirs.Close()
	c := &conn{Conn: ours, open: &openConns{open: map[*conn]struct{}{}}}
	b, _ := inPieces()
	b.conn = c
	buffer := bufio.NewWriter(c)
	_, _ = buffer.WriteString("header")
	if n, err := b.WriteTo(buffer); err == nil || n != 0 {
		t.Errorf("%d bytes written, %v", n, err)
	}
}
