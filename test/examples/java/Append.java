// Java with JDBC: an append, a conflict, following.  Run by
// java -cp /usr/share/java/postgresql.jar Append.java
import java.sql.DriverManager;
import java.sql.SQLException;
import org.postgresql.util.PSQLException;

public class Append {
    public static void main(String[] arguments) throws SQLException {
        try (var db = DriverManager.getConnection(arguments[0])) {
            try (var append = db.prepareStatement("SELECT nvent.stream_append(?, ?::jsonb, ?) ->> 'version'")) {   // Java: JDBC
                append.setString(1, "order:17");
                append.setString(2, "{\"type\": \"placed\"}");
                append.setLong(3, 0);
                var row = append.executeQuery();
                row.next();
                System.out.println(row.getLong(1));
            } catch (PSQLException e) {
                if (!"NV001".equals(e.getSQLState())) throw e;
                System.out.println(e.getSQLState() + " " + e.getServerErrorMessage().getDetail());
            }
            try (var poll = db.prepareStatement("SELECT next_cursor, to_json(events) FROM nvent.stream_poll('order:>', ?)")) {
                poll.setLong(1, 0);
                var page = poll.executeQuery();
                page.next();
                System.out.println(page.getString(2).startsWith("[{") + " " + (page.getLong(1) > 0));
            }
        }
    }
}
