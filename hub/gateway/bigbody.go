package gateway

import (
	"bufio"
	"io"
	"net"

	"busbar/routing"
)

// largestCopied bounds the bodies that are copied behind the header. A page of a
// list is larger by far, and goes to the connection as it is.
const largestCopied = 64 << 10

// bigBody is a routed answer that is released when it was written, or when it
// cannot be.
type bigBody struct {
	reply routing.Reply
	conn  net.Conn
	// unread is what Read has not read, once it was called.
	unread          net.Buffers
	reading, closed bool
}

// pieces are the body's, in order. What writes or reads them takes them away.
func (b *bigBody) pieces() net.Buffers {
	return append(append(make(net.Buffers, 0, 4), b.reply.Body), b.reply.Rest...)
}

// WriteTo implements io.WriterTo, which the server prefers to Read. The server's
// buffer has the header; on a plain connection the pieces go past it.
func (b *bigBody) WriteTo(w io.Writer) (int64, error) {
	pieces := b.pieces()
	buffer, buffered := w.(*bufio.Writer)
	plain, ok := b.conn.(*conn)
	if !buffered || !ok {
		return pieces.WriteTo(w)
	}
	return plain.writeBehind(buffer, pieces...)
}

// Read implements io.Reader.
func (b *bigBody) Read(p []byte) (int, error) {
	if !b.reading {
		b.reading, b.unread = true, b.pieces()
	}
	return b.unread.Read(p)
}

// Close implements io.Closer.
func (b *bigBody) Close() error {
	if !b.closed {
		b.closed = true
		b.reply.Release()
	}
	return nil
}
