// Command read reads a stream with the credentials an AccessGrant wrote.
//
//	read read TOPIC GROUP COUNT
//
// prints the values of COUNT records, one a line, and commits how far it read. Avro with a schema registry is printed as JSON.
// Exit code 3: the broker refused; 4: not COUNT records within a minute.
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

const (
	exitFailed  = 1
	exitUsage   = 2
	exitRefused = 3
	exitTimeout = 4
)

// What a broker answers to whom it does not allow.
var refusals = []error{
	kerr.SaslAuthenticationFailed, kerr.TopicAuthorizationFailed, kerr.GroupAuthorizationFailed,
	kerr.ClusterAuthorizationFailed,
}

func main() {
	if len(os.Args) != 5 || os.Args[1] != "read" {
		fmt.Fprintln(os.Stderr, "usage: read read TOPIC GROUP COUNT")
		os.Exit(exitUsage)
	}
	count, err := strconv.Atoi(os.Args[4])
	if err != nil || count < 0 {
		fmt.Fprintln(os.Stderr, "COUNT is a whole number")
		os.Exit(exitUsage)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience())
	defer cancel()
	err = read(ctx, os.Args[2], os.Args[3], count)
	switch {
	case err == nil:
	case refused(err):
		fmt.Fprintln(os.Stderr, "refused:", err)
		os.Exit(exitRefused)
	case errors.Is(err, context.DeadlineExceeded):
		fmt.Fprintln(os.Stderr, err)
		os.Exit(exitTimeout)
	default:
		fmt.Fprintln(os.Stderr, "failed:", err)
		os.Exit(exitFailed)
	}
}

func read(ctx context.Context, topic, group string, count int) error {
	options, err := settings(folder())
	if err != nil {
		return err
	}
	client, err := kgo.NewClient(append(options,
		kgo.ConsumeTopics(topic), kgo.ConsumerGroup(group),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), // streams are written in transactions
		kgo.DisableAutoCommit(),
	)...)
	if err != nil {
		return err
	}
	defer client.Close()
	// A wrong password is told here rather than tried again and again.
	if err := client.Ping(ctx); err != nil {
		return err
	}
	decoder, err := newDecoder(folder())
	if err != nil {
		return err
	}
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for done := 0; done < count; {
		fetches := client.PollRecords(ctx, count-done)
		for _, failed := range fetches.Errors() {
			if refused(failed.Err) {
				return failed.Err
			}
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("%d of %d records: %w", done, count, err)
		}
		records := fetches.Records()
		for _, record := range records {
			value := record.Value
			if value == nil {
				value = []byte("null")
			} else if value, err = decoder.text(ctx, value); err != nil {
				return err
			}
			out.Write(value)
			out.WriteByte('\n')
			done++
		}
		if err := client.CommitRecords(ctx, records...); err != nil {
			return err
		}
	}
	return nil
}

// settings reads the Secret's files, one a value.
func settings(folder string) ([]kgo.Opt, error) {
	value := func(name string) (string, error) {
		content, err := os.ReadFile(filepath.Join(folder, name))
		return strings.TrimSpace(string(content)), err
	}
	servers, err := value("bootstrap.servers")
	if err != nil {
		return nil, err
	}
	if other := os.Getenv("KAFKA_CLIENT_BOOTSTRAP"); other != "" { // another way in
		servers = other
	}
	user, err := value("username")
	if err != nil {
		return nil, err
	}
	password, err := value("password")
	if err != nil {
		return nil, err
	}
	options := []kgo.Opt{
		kgo.SeedBrokers(strings.Split(servers, ",")...),
		kgo.SASL(scram.Auth{User: user, Pass: password}.AsSha512Mechanism()),
	}
	protocol, err := value("security.protocol")
	if err != nil {
		return nil, err
	}
	if protocol == "SASL_PLAINTEXT" {
		return options, nil
	}
	secure := &tls.Config{MinVersion: tls.VersionTLS12}
	authority, err := value("ca.crt")
	switch {
	case errors.Is(err, os.ErrNotExist): // a certificate that the machine trusts anyway
	case err != nil:
		return nil, err
	default:
		secure.RootCAs = x509.NewCertPool()
		if !secure.RootCAs.AppendCertsFromPEM([]byte(authority)) {
			return nil, errors.New("ca.crt has no certificate in it")
		}
	}
	return append(options, kgo.DialTLSConfig(secure)), nil
}

func refused(err error) bool {
	for _, refusal := range refusals {
		if errors.Is(err, refusal) {
			return true
		}
	}
	return false
}

func folder() string {
	if folder := os.Getenv("KAFKA_CLIENT_DIR"); folder != "" {
		return folder
	}
	return "/etc/kafka-client"
}

func patience() time.Duration {
	if seconds, err := strconv.ParseFloat(os.Getenv("KAFKA_CLIENT_SECONDS"), 64); err == nil && seconds > 0 {
		return time.Duration(seconds * float64(time.Second))
	}
	return time.Minute
}
