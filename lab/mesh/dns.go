package mesh

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// dnsTimeout bounds a query to the system's resolver.
const dnsTimeout = 3 * time.Second

// serveDNS serves DNS over UDP to the proxies until the socket is closed. It resolves the cluster's
// names with lookup and all others with the system's resolver.
func serveDNS(ctx context.Context, socket net.PacketConn, lookup func(name string) (addresses []netip.Addr, known bool)) {
	packet := make([]byte, 4096)
	for {
		n, from, err := socket.ReadFrom(packet)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		var question dnsmessage.Message
		if question.Unpack(packet[:n]) != nil || question.Response || len(question.Questions) != 1 {
			continue
		}
		go func() {
			answer := resolve(ctx, question, lookup)
			if data, err := answer.Pack(); err == nil {
				_, _ = socket.WriteTo(data, from)
			}
		}()
	}
}

func resolve(ctx context.Context, question dnsmessage.Message, lookup func(string) ([]netip.Addr, bool)) dnsmessage.Message {
	asked := question.Questions[0]
	answer := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: question.ID, Response: true, RecursionDesired: question.RecursionDesired, RecursionAvailable: true},
		Questions: question.Questions,
	}
	if asked.Class != dnsmessage.ClassINET {
		answer.RCode = dnsmessage.RCodeNotImplemented
		return answer
	}
	name := strings.ToLower(strings.TrimSuffix(asked.Name.String(), "."))
	addresses, known := lookup(name)
	if !known {
		ctx, cancel := context.WithTimeout(ctx, dnsTimeout)
		defer cancel()
		var err error
		if addresses, err = net.DefaultResolver.LookupNetIP(ctx, "ip", name); err != nil {
			answer.RCode = dnsmessage.RCodeServerFailure
			var failure *net.DNSError
			if errors.As(err, &failure) && failure.IsNotFound {
				answer.RCode = dnsmessage.RCodeNameError
			}
			return answer
		}
	}
	for _, address := range addresses {
		header := dnsmessage.ResourceHeader{Name: asked.Name, Class: asked.Class, TTL: 1}
		switch address = address.Unmap(); {
		case asked.Type == dnsmessage.TypeA && address.Is4():
			answer.Answers = append(answer.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AResource{A: address.As4()}})
		case asked.Type == dnsmessage.TypeAAAA && address.Is6():
			answer.Answers = append(answer.Answers, dnsmessage.Resource{Header: header, Body: &dnsmessage.AAAAResource{AAAA: address.As16()}})
		}
	}
	return answer
}

// listenDNS opens a UDP socket at a free port of 127.0.0.1.
func listenDNS() (net.PacketConn, netip.AddrPort, error) {
	socket, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return nil, netip.AddrPort{}, fmt.Errorf("listen for the proxies' DNS: %w", err)
	}
	return socket, socket.LocalAddr().(*net.UDPAddr).AddrPort(), nil
}
